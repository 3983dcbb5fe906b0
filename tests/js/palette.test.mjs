// Keys of the palette: Ctrl K and "/" open it, "?" the sheet, "g" and a letter jump; typing in a field does none of it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Element, run } from "./page.mjs";

function aDialog(parts = {}) {
  const dialog = new Element({ data: { palette: "/search/" } });
  dialog.open = false;
  dialog.found = parts;
  dialog.showModal = () => { dialog.open = true; };
  dialog.close = () => { dialog.open = false; };
  dialog.addEventListener = () => {};
  return dialog;
}

function aPage() {
  const part = () => Object.assign(new Element(), {
    addEventListener() {}, querySelectorAll: () => [], replaceChildren() {}, select() {}, focus() {}, value: "",
  });
  const input = part();
  const palette = aDialog({ "#palette-q": input, "[data-palette-list]": part(), "[data-palette-preview]": part() });
  const keys = aDialog();
  const went = [];
  const page = run("palette.js", {
    ids: { palette, keys },
    globals: {
      location: { assign: (to) => went.push(to) },
      fetch: async () => ({ ok: true, redirected: false, text: async () => "" }),
      URLSearchParams,
    },
  });
  const press = async (key, more = {}) => {
    const target = new Element();
    target.matches = () => Boolean(more.typing);
    const event = { key, target, preventDefault() { this.prevented = true; }, ...more };
    await page.fire("keydown", event);
    return event;
  };
  return { palette, keys, went, press };
}

for (const [name, key, more] of [["Ctrl K", "k", { ctrlKey: true }], ["Cmd K", "K", { metaKey: true }], ["/", "/", {}]]) {
  test(`${name} opens the palette`, async () => {
    const { palette, press } = aPage();
    assert.equal((await press(key, more)).prevented, true);
    assert.equal(palette.open, true);
  });
}

test("Ctrl K opens it from a field too, but a slash is typed there", async () => {
  const { palette, press } = aPage();
  await press("/", { typing: true });
  assert.equal(palette.open, false);
  await press("k", { ctrlKey: true, typing: true });
  assert.equal(palette.open, true);
});

test("a question mark opens the sheet of keys", async () => {
  const { keys, press } = aPage();
  await press("?", { typing: true });
  assert.equal(keys.open, false);
  await press("?");
  assert.equal(keys.open, true);
});

test("g and a letter jump; the letter alone, or another key between, does not", async () => {
  const { went, press } = aPage();
  await press("i");
  await press("g");
  await press("x");
  await press("i");
  assert.deepEqual(went, []);
  await press("g");
  await press("i");
  assert.deepEqual(went, ["/incidents/"]);
});
