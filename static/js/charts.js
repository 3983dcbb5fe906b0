/* Draws every `data-chart` with Plotly from the figure (JSON) beside it. Colours in a figure are written as "var(--bar)" and are
   read from the tokens at draw time, so a chart follows the theme. A layout may bring `meta.narrow`: what else holds on a phone,
   where traces with `meta: "numbers"` lose their words. A point whose `customdata` begins with an address of this site leads there. */
"use strict";
(function () {
  const probe = document.createElement("span");
  probe.hidden = true;

  function colour(text, at) {
    if (!probe.isConnected || probe.parentElement !== at) at.append(probe);
    probe.style.color = text;
    return getComputedStyle(probe).color;
  }

  function resolve(value, at) {
    if (typeof value === "string") return value.startsWith("var(--") ? colour(value, at) : value;
    if (Array.isArray(value)) return value.map((item) => resolve(item, at));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolve(item, at)]));
    }
    return value;
  }

  function merge(base, over) {
    const merged = { ...base };
    for (const [key, value] of Object.entries(over || {})) {
      const both = value && typeof value === "object" && !Array.isArray(value) && base[key] && typeof base[key] === "object";
      merged[key] = both ? merge(base[key], value) : value;
    }
    return merged;
  }

  const axis = {
    fixedrange: true,
    showline: false,
    zeroline: false,
    ticks: "",
    tickangle: 0,
    automargin: true,
    tickfont: { size: 11, color: "var(--text-3)" },
    title: { font: { size: 11, color: "var(--text-3)" } },
  };
  const look = {
    autosize: true,
    showlegend: false,
    margin: { l: 8, r: 8, t: 8, b: 4 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    bargap: 0.25,
    barcornerradius: 2,
    font: { size: 11, color: "var(--text-2)" },
    hovermode: "x unified",
    hoverlabel: { bgcolor: "var(--surface)", bordercolor: "var(--border-strong)", font: { size: 12, color: "var(--text)" } },
    colorway: ["var(--bar)", "var(--bar-2)"],
    xaxis: { ...axis, showgrid: false, nticks: 9 },
    yaxis: { ...axis, gridcolor: "var(--grid)", nticks: 5, rangemode: "tozero" },
  };

  const unworded = (trace) => (trace.type === "bar" ? { textposition: "none" } : { mode: "markers" });

  function draw(figure) {
    const plot = figure.querySelector("[data-plot]");
    const data = figure.querySelector('script[type="application/json"]');
    if (!plot || !data || !window.Plotly) return;
    const { data: traces, layout } = JSON.parse(data.textContent);
    const narrow = figure.clientWidth < 560;
    const shown = narrow ? traces.map((trace) => (trace.meta === "numbers" ? { ...trace, ...unworded(trace) } : trace)) : traces;
    const wanted = narrow && layout.meta ? merge(layout, layout.meta.narrow) : layout;
    const base = { ...look, font: { ...look.font, family: getComputedStyle(document.body).fontFamily } };
    const dressed = resolve(merge(base, wanted), figure);
    probe.remove();
    window.Plotly.react(plot, resolve(shown, figure), dressed, { displayModeBar: false, responsive: true });
    probe.remove();
    if (!plot.dataset.leads) {
      plot.dataset.leads = "yes";
      plot.on("plotly_click", (event) => {
        const url = [event.points[0].customdata].flat()[0];
        if (typeof url === "string" && /^[?/](?!\/)/.test(url)) window.location.assign(url);
      });
    }
  }

  const all = () => document.querySelectorAll("[data-chart]").forEach(draw);
  all();
  document.addEventListener("muster:theme", all);
  document.addEventListener("muster:data", (event) => { const figure = event.target.closest("[data-chart]"); if (figure) draw(figure); });
  document.addEventListener("htmx:load", (event) => {
    for (const figure of event.target.querySelectorAll("[data-chart]")) if (!figure.querySelector(".js-plotly-plot, .plot-container")) draw(figure);
  });
})();
