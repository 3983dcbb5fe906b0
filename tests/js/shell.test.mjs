// Keys and filters of the frame: "/" goes to the search, arrows move in a segmented control, lists narrow while typing.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Element, run } from "./page.mjs";

const key = (name, target, more = {}) => ({ key: name, target, preventDefault() { this.prevented = true; }, ...more });

function aField({ typing = false } = {}) {
  const field = new Element();
  field.matches = (selector) => typing && selector.startsWith("input");
  field.calls = [];
  for (const name of ["focus", "select", "blur"]) field[name] = () => field.calls.push(name);
  return field;
}

test("a slash goes to the first search field that is shown", async () => {
  const hidden = aField();
  const shown = aField();
  shown.offsetParent = {};
  const page = run("shell.js", { lists: { "[data-search]": [hidden, shown] } });
  const event = key("/", aField());
  await page.fire("keydown", event);
  assert.deepEqual(shown.calls, ["focus", "select"]);
  assert.deepEqual(hidden.calls, []);
  assert.equal(event.prevented, true);
});

test("a slash inside a field, or with Ctrl, is only typed", async () => {
  const search = aField();
  search.offsetParent = {};
  const page = run("shell.js", { lists: { "[data-search]": [search] } });
  await page.fire("keydown", key("/", aField({ typing: true })));
  await page.fire("keydown", key("/", aField(), { ctrlKey: true }));
  assert.deepEqual(search.calls, []);
});

for (const [from, name, to] of [[0, "ArrowRight", 1], [2, "ArrowRight", 0], [0, "ArrowLeft", 2], [1, "ArrowUp", 0], [1, "Tab", null]]) {
  test(`${name} from segment ${from} goes to ${to ?? "none"}`, async () => {
    const group = new Element();
    group.children = [0, 1, 2].map(() => aField());
    const page = run("shell.js");
    page.document.activeElement = group.children[from];
    group.children[from].closestBy["[data-segmented]"] = group;
    await page.fire("keydown", key(name, group.children[from]));
    assert.deepEqual(group.children.map((item) => item.calls.length), [0, 1, 2].map((place) => Number(place === to)));
  });
}

test("a list narrows to the rows that have what was typed, in any case", async () => {
  const rows = ["NVIDIA-H100", "nvidia-l4", "MI300X"].map((text) => new Element({ text }));
  const input = new Element({ data: { filter: ".row" } });
  input.matches = () => true;
  input.value = " Nvidia ";
  await run("shell.js", { lists: { ".row": rows } }).fire("input", { target: input });
  assert.deepEqual(rows.map((row) => row.hidden), [false, false, true]);
});

test("an address names only the filters that are on", async () => {
  const formData = new FormData();
  for (const [name, value] of [["q", ""], ["cluster", "east"], ["cluster", ""], ["cluster", "west"]]) formData.append(name, value);
  const elt = new Element();
  elt.closestBy["[data-drop-empty]"] = elt;
  await run("shell.js").fire("htmx:configRequest", { detail: { elt, formData } });
  assert.deepEqual([...formData], [["cluster", "east"], ["cluster", "west"]]);
});
