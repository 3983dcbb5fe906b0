/* Ages tick in the browser, on the server's clock; freshness chips apply the server's limits, so that nothing can
   look fresh on a page that stopped refreshing. The words follow fleet/templatetags/formats.py. */
"use strict";
(function () {
  const NBSP = "\u00a0";
  const root = document.documentElement;
  let skew = 0; // server's clock minus this machine's, ms

  function setServerTime(text) {
    const at = Date.parse(text);
    if (!Number.isNaN(at)) skew = at - Date.now();
  }

  function duration(seconds) {
    const whole = Math.max(0, Math.floor(seconds));
    if (whole < 60) return whole + NBSP + "s";
    if (whole < 3600) return Math.floor(whole / 60) + NBSP + "min";
    if (whole < 86400) {
      const minutes = Math.floor((whole % 3600) / 60);
      const hours = Math.floor(whole / 3600) + NBSP + "h";
      return minutes ? hours + " " + String(minutes).padStart(2, "0") + NBSP + "min" : hours;
    }
    const hours = Math.floor((whole % 86400) / 3600);
    const days = Math.floor(whole / 86400).toLocaleString("en") + NBSP + "d";
    return hours ? days + " " + hours + NBSP + "h" : days;
  }

  function setText(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  function tick() {
    const now = Date.now() + skew;
    for (const time of document.querySelectorAll("time[data-age]")) {
      const seconds = (now - Date.parse(time.dateTime)) / 1000;
      const suffix = time.dataset.age;
      setText(time, duration(seconds) + (suffix ? NBSP + suffix : ""));
      const chip = time.closest("[data-late-after]");
      if (!chip || chip.dataset.freshness === "never") continue;
      const stale = seconds > Number(chip.dataset.staleAfter);
      const late = seconds > Number(chip.dataset.lateAfter);
      // a chip that the server marked stale stays stale: the server may know more than the age shows
      if (stale) chip.dataset.freshness = "stale";
      else if (late && chip.dataset.freshness === "live") chip.dataset.freshness = "late";
    }
    const iso = new Date(now).toISOString();
    for (const clock of document.querySelectorAll("[data-clock]")) setText(clock, iso.slice(11, 19) + " UTC");
  }

  setServerTime(root.dataset.now || "");
  window.Muster.ages = { tick, duration, setServerTime, now: () => new Date(Date.now() + skew) };
  tick();
  setInterval(() => { if (!document.hidden) tick(); }, 1000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) tick(); });
})();
