// Ages tick on the server's clock; a chip never turns fresher than the server's state.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Element, run } from "./page.mjs";

const NBSP = "\u00a0";
const plain = (text) => text.replaceAll(NBSP, " ");

// the same table as fleet/templatetags/formats.py: tests/web/test_js.py compares the two
const DURATIONS = [
  [-5, "0 s"], [0, "0 s"], [59.9, "59 s"], [60, "1 min"], [3599, "59 min"], [3600, "1 h"], [3660, "1 h 01 min"], [86_399, "23 h 59 min"],
  [86_400, "1 d"], [90_000, "1 d 1 h"], [86_400 * 1234, "1,234 d"],
];
for (const [seconds, words] of DURATIONS) {
  test(`${seconds} s is written ${words}`, () => {
    assert.equal(plain(run("ages.js").muster.ages.duration(seconds)), words);
  });
}

function aChip(level, seconds, { lateAfter = 70, staleAfter = 900 } = {}) {
  const chip = new Element({ data: { freshness: level, lateAfter: String(lateAfter), staleAfter: String(staleAfter) } });
  const time = new Element({ data: { age: "ago" } });
  time.dateTime = new Date(Date.parse("2026-11-30T12:00:00Z") - 1000 * seconds).toISOString();
  time.closestBy["[data-late-after]"] = chip;
  run("ages.js", { lists: { "time[data-age]": [time] } });
  return { chip, time };
}

for (const [level, seconds, after] of [
  ["live", 70, "live"], ["live", 71, "late"], ["live", 900, "late"], ["live", 901, "stale"], ["late", 10, "late"], ["stale", 10, "stale"],
  ["never", 9999, "never"],
]) {
  test(`a ${level} chip of ${seconds} s is ${after}`, () => assert.equal(aChip(level, seconds).chip.dataset.freshness, after));
}

test("an age has its suffix behind it", () => assert.equal(plain(aChip("live", 24).time.textContent), "24 s ago"));

test("ages follow the server's clock where this machine's is wrong", () => {
  const clock = new Element();
  run("ages.js", { now: "2026-11-30T12:00:00Z", data: { now: "2026-11-30T12:07:03Z" }, lists: { "[data-clock]": [clock] } });
  assert.equal(clock.textContent, "12:07:03 UTC");
});

test("an unreadable server time changes nothing", () => {
  const page = run("ages.js");
  page.muster.ages.setServerTime("nonsense");
  assert.equal(page.muster.ages.now().toISOString(), "2026-11-30T12:00:00.000Z");
});
