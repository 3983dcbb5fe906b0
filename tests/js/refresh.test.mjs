// A live page asks again, changes only what differs, says when nothing comes any more, and never shows a sign-in page in a region.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Element, run } from "./page.mjs";

function aPage(answer) {
  const region = new Element({ data: { refreshUrl: "/nodes/", etag: 'W/"1"' } });
  region.id = "nodes";
  region.isConnected = true;
  const word = new Element();
  const live = new Element();
  live.found["[data-live-word]"] = word;
  const asked = [];
  const morphed = [];
  const globals = {
    fetch: async (url, options) => { asked.push({ url, ...options }); return answer(); },
  };
  const lists = { "[data-refresh-url]": [region], "[data-live]": [live] };
  globals.Muster = { ages: { now: () => new Date("2026-11-30T12:00:00Z"), setServerTime() {} }, morph: (...given) => morphed.push(given) };
  const page = run("refresh.js", { lists, globals });
  page.document.createElement = () => ({ content: { querySelectorAll: () => [] } });
  const pass = async () => { page.fire("muster:refresh", {}); for (let i = 0; i < 10; i++) await null; };
  return { page, pass, region, live, word, asked, morphed };
}

const headers = (values) => ({ get: (name) => values[name] ?? null });
const ok = () => ({ ok: true, status: 200, redirected: false, headers: headers({ ETag: 'W/"2"' }), text: async () => "<p>new</p>" });
const unchanged = () => ({ ok: false, status: 304, headers: headers({}) });
const broken = () => ({ ok: false, status: 503, headers: headers({}), text: async () => "" });
const signIn = () => ({ ...ok(), redirected: true });

test("it asks with the ETag it has, and keeps the new one", async () => {
  const { pass, region, asked, morphed, word } = aPage(ok);
  await pass();
  assert.equal(asked[0].headers["If-None-Match"], 'W/"1"');
  assert.equal(region.dataset.etag, 'W/"2"');
  assert.equal(morphed.length, 1);
  assert.equal(word.textContent, "Live");
});

test("304 leaves the page alone and is no failure", async () => {
  const { pass, morphed, word } = aPage(unchanged);
  await pass();
  await pass();
  assert.equal(morphed.length, 0);
  assert.equal(word.textContent, "Live");
});

for (const [name, answer] of [["an error", broken], ["a redirect to the sign-in page", signIn], ["no answer", () => { throw new Error("offline"); }]]) {
  test(`${name} twice in a row says since when nothing came, and changes nothing`, async () => {
    const { pass, morphed, word, live } = aPage(answer);
    await pass();
    assert.equal(word.textContent, "Live");
    await pass();
    assert.equal(word.textContent, "Not updating since 12:00");
    assert.equal(live.dataset.state, "late");
    assert.equal(morphed.length, 0);
  });
}

test("a paused page says so, and asks at once when it goes on", async () => {
  const { page, word, live, asked } = aPage(ok);
  const click = { target: { closest: () => live } };
  await page.fire("click", click);
  assert.equal(word.textContent, "Paused");
  assert.equal(live.getAttribute("aria-pressed"), "false");
  page.timers.find((timer) => timer.ms === 15_000).work();
  assert.equal(asked.length, 0);
  await page.fire("click", click);
  assert.equal(asked.length, 1);
});

test("a hidden tab does not ask", () => {
  const { page, asked } = aPage(ok);
  page.document.hidden = true;
  page.timers.find((timer) => timer.ms === 15_000).work();
  assert.equal(asked.length, 0);
});
