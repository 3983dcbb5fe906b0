/* Loaded blocking, before first paint: the reader's own choice of theme, else what the system prefers. */
"use strict";
(function () {
  var root = document.documentElement;
  function stored() {
    try { return localStorage.getItem("muster-theme"); } catch { return null; }
  }
  function isDark() {
    var chosen = root.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }
  var theme = stored();
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  root.classList.add("js");

  window.Muster = {
    isDark: isDark,
    /* Turns to the other theme; where that is what the system prefers, the choice is given back to the system. */
    turnTheme: function () {
      var next = isDark() ? "light" : "dark";
      var system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
      try {
        if (next === system) localStorage.removeItem("muster-theme");
        else localStorage.setItem("muster-theme", next);
      } catch { /* private windows: the choice lasts for this page */ }
      if (next === system) delete root.dataset.theme;
      else root.dataset.theme = next;
      document.dispatchEvent(new CustomEvent("muster:theme"));
    },
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", function () {
    document.dispatchEvent(new CustomEvent("muster:theme"));
  });
})();
