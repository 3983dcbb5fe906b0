// Charts take their colours from the tokens at draw time, and lead only to addresses of this site.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Element, run } from "./page.mjs";

function draw(figure, width = 900) {
  const plot = new Element();
  let click = null;
  plot.on = (name, work) => { click = work; };
  const at = new Element();
  at.clientWidth = width;
  at.found["[data-plot]"] = plot;
  at.found['script[type="application/json"]'] = new Element({ text: JSON.stringify(figure) });
  const drawn = [];
  const went = [];
  const location = { assign: (url) => went.push(url) };
  const getComputedStyle = (element) => ({ color: `rgb of ${element.style.color}`, fontFamily: "Inter" });
  const Plotly = { react: (place, traces, layout) => drawn.push({ traces, layout }) };
  run("charts.js", { lists: { "[data-chart]": [at] }, globals: { Plotly, location, getComputedStyle } });
  return { ...JSON.parse(JSON.stringify(drawn[0])), click, went };
}

test("tokens become colours, deep inside traces and lists", () => {
  const { traces } = draw({ data: [{ type: "bar", marker: { color: ["var(--bar)", "#fff"] } }], layout: {} });
  assert.deepEqual(traces[0].marker.color, ["rgb of var(--bar)", "#fff"]);
});

test("a layout is merged into the common look, key by key", () => {
  const { layout } = draw({ data: [], layout: { xaxis: { nticks: 3 }, colorway: ["#000"] } });
  assert.equal(layout.xaxis.nticks, 3);
  assert.equal(layout.xaxis.fixedrange, true);
  assert.deepEqual(layout.colorway, ["#000"]);
});

for (const [width, mode] of [[559, "markers"], [560, "text"]]) {
  test(`at ${width} px numbers are drawn as ${mode}`, () => {
    const { traces } = draw({ data: [{ meta: "numbers", mode: "text" }], layout: {} }, width);
    assert.equal(traces[0].mode, mode);
  });
}

for (const [url, leads] of [
  ["/nodes/?q=1", true], ["?day=2026-11-30", true], ["//evil.example", false], ["https://evil.example", false], ["javascript:alert(1)", false],
  [null, false],
]) {
  test(`a point of ${url} leads ${leads ? "there" : "nowhere"}`, () => {
    const { click, went } = draw({ data: [], layout: {} });
    click({ points: [{ customdata: [url] }] });
    assert.deepEqual(went, leads ? [url] : []);
  });
}
