// Copying confirms in place, and says so where the browser gives no clipboard.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Element, run } from "./page.mjs";

function aButton({ data = {}, attributes = {}, word } = {}) {
  const button = new Element({ data, attributes });
  if (word) button.found["[data-copy-word]"] = word;
  button.closestBy["[data-copy], [data-copy-from]"] = button;
  return button;
}

async function press(button, writeText) {
  const tips = [];
  const announce = new Element();
  const page = run("copy.js", {
    ids: { announce },
    globals: { navigator: { clipboard: { writeText } } },
  });
  page.muster.tip = (at, text) => tips.push(text);
  await page.fire("click", { target: button, preventDefault() {} });
  return { page, tips, announce };
}

test("data-copy gives its own text, and the word confirms for 2 s", async () => {
  const copied = [];
  const word = new Element({ text: "Copy name" });
  const button = aButton({ data: { copy: "kubectl get nodes" }, attributes: { "data-copy": "" }, word });
  const { page, announce } = await press(button, async (text) => copied.push(text));
  assert.deepEqual(copied, ["kubectl get nodes"]);
  assert.equal(word.textContent, "Copied");
  assert.equal(announce.textContent, "Copied");
  assert.equal(page.timers.at(-1).ms, 2000);
  page.timers.at(-1).work();
  assert.equal(word.textContent, "Copy name");
});

test("data-copy-from gives the text of the element beside it", async () => {
  const copied = [];
  const button = aButton({ data: { copyFrom: "code" } });
  button.parentElement = new Element();
  button.parentElement.found.code = new Element({ text: "apiVersion: v1" });
  const { tips } = await press(button, async (text) => copied.push(text));
  assert.deepEqual(copied, ["apiVersion: v1"]);
  assert.deepEqual(tips, ["Copied"]);
});

test("without a clipboard the button says that it is not allowed", async () => {
  const button = aButton({ data: { copy: "x" }, attributes: { "data-copy": "" } });
  const { announce } = await press(button, async () => { throw new Error("NotAllowedError"); });
  assert.equal(announce.textContent, "Not allowed here");
});

test("a click elsewhere copies nothing", async () => {
  let calls = 0;
  await press(new Element(), async () => { calls += 1; });
  assert.equal(calls, 0);
});
