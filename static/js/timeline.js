/* The timeline: a click anywhere in the plot shows the node as of that moment, a guide follows the pointer, arrow keys move between
   blocks and marks (each is a link already). */
"use strict";
(function () {
  const moment = (plot, x) => {
    const from = Date.parse(plot.dataset.from);
    const to = Date.parse(plot.dataset.to);
    const box = plot.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (x - box.left) / box.width));
    return new Date(from + share * (to - from));
  };
  const days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
  const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const words = (at) => `${days[at.getUTCDay()]} ${at.getUTCDate()} ${months[at.getUTCMonth()]} ${at.toISOString().slice(11, 16)} UTC`;

  document.addEventListener("click", (event) => {
    const plot = event.target.closest("[data-timeline]");
    if (!plot || event.target.closest("a") || !plot.dataset.url) return;
    const at = moment(plot, event.clientX).toISOString().slice(0, 19) + "Z";
    location.assign(plot.dataset.url + "?at=" + encodeURIComponent(at));
  });

  document.addEventListener("pointermove", (event) => {
    const plot = event.target.closest && event.target.closest("[data-timeline]");
    for (const guide of document.querySelectorAll("[data-timeline-guide]:not([hidden])")) {
      if (!plot || !plot.contains(guide)) guide.setAttribute("hidden", "");
    }
    if (!plot) return;
    const guide = plot.querySelector("[data-timeline-guide]");
    const x = event.clientX - plot.getBoundingClientRect().left;
    const [line, text] = guide.children;
    guide.removeAttribute("hidden");
    line.setAttribute("x1", x);
    line.setAttribute("x2", x);
    text.setAttribute("x", x);
    text.setAttribute("text-anchor", x > plot.clientWidth - 70 ? "end" : x < 70 ? "start" : "middle");
    text.textContent = words(moment(plot, event.clientX));
  });

  document.addEventListener("keydown", (event) => {
    const plot = event.target.closest && event.target.closest("[data-timeline]");
    if (!plot || event.ctrlKey || event.metaKey || event.altKey) return;
    const items = [...plot.querySelectorAll("a")];
    const from = items.indexOf(document.activeElement);
    const to = { ArrowRight: from + 1, ArrowDown: from + 1, ArrowLeft: from - 1, ArrowUp: from - 1, Home: 0, End: items.length - 1 }[event.key];
    if (from < 0 || to === undefined) return;
    event.preventDefault();
    const next = items[Math.min(items.length - 1, Math.max(0, to))];
    items[from].setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  });
})();
