/* The palette (Ctrl K, "/"), the sheet of keys ("?") and the jumps ("g" and a letter). Hits and previews are HTML of the server. */
"use strict";
(function () {
  const palette = document.getElementById("palette");
  const keys = document.getElementById("keys");
  if (!palette) return;
  const input = palette.querySelector("#palette-q");
  const list = palette.querySelector("[data-palette-list]");
  const preview = palette.querySelector("[data-palette-preview]");
  const JUMPS = { f: "/", n: "/nodes/", i: "/incidents/", h: "/history/", p: "/pools/", c: "/classes/" };
  let kind = "";
  let asking = null;
  let timer = 0;
  let previewTimer = 0;
  let jumping = 0;
  let shown = null; // the text whose hits are listed
  let entered = null; // Enter that came before its hits


  const typing = (element) => element.matches && element.matches("input, textarea, select, [contenteditable]");
  const hits = () => [...list.querySelectorAll("[role=option]")];
  const selected = () => list.querySelector('[aria-selected="true"]');

  async function html(url, signal) {
    const answer = await fetch(url, { signal, headers: { "X-Requested-With": "fetch" }, credentials: "same-origin" });
    if (answer.redirected) throw new Error("signed out");
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.text();
  }

  function say(text) {
    const line = document.createElement("p");
    line.className = "hits__none";
    line.textContent = text;
    list.replaceChildren(line);
    preview.replaceChildren();
  }

  async function ask() {
    if (asking) asking.abort();
    asking = new AbortController();
    const text = input.value;
    const query = new URLSearchParams({ palette: "1", q: text, ...(kind ? { kind } : {}) });
    try {
      list.innerHTML = await html(`${palette.dataset.palette}?${query}`, asking.signal);
      shown = text;
      select(hits()[0]);
      if (entered) go(hits()[0], entered.aside);
      entered = null;
    } catch (error) {
      if (error.name !== "AbortError") say("The search could not be loaded. Check the connection, or reload the page.");
    }
  }

  function select(hit) {
    for (const other of hits()) other.setAttribute("aria-selected", String(other === hit));
    input.setAttribute("aria-activedescendant", hit ? hit.id : "");
    clearTimeout(previewTimer);
    if (!hit) return preview.replaceChildren();
    hit.scrollIntoView({ block: "nearest" });
    if (!hit.dataset.preview) return preview.replaceChildren();
    previewTimer = setTimeout(async () => {
      try {
        const text = await html(hit.dataset.preview);
        if (selected() === hit) preview.innerHTML = text;
      } catch {
        preview.replaceChildren();
      }
    }, 120);
  }

  function open() {
    if (palette.open) return;
    kind = "";
    shown = entered = null;
    palette.showModal();
    input.select();
    ask();
  }

  function go(hit, aside) {
    if (!hit) return;
    if (aside) window.open(hit.href, "_blank", "noopener");
    else location.assign(hit.href);
  }

  // Hits of an earlier text are never opened: Enter waits for those of the text that stands there.
  function enter(aside) {
    if (shown === input.value) return go(selected() || hits()[0], aside);
    entered = { aside };
    clearTimeout(timer);
    ask();
  }

  function inPalette(event) {
    const all = hits();
    const at = all.indexOf(selected());
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && all.length) {
      event.preventDefault();
      select(all[(at + step + all.length) % all.length]);
    } else if (event.key === "Enter" && event.target === input) {
      event.preventDefault();
      enter(event.ctrlKey || event.metaKey);
    } else if (event.key === "c" && (event.ctrlKey || event.metaKey) && input.selectionStart === input.selectionEnd && selected()) {
      event.preventDefault();
      navigator.clipboard.writeText(selected().href).catch(() => {});
    }
  }

  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      open();
    } else if (palette.open) inPalette(event);
    else if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || (keys && keys.open)) return;
    else if (event.key === "/") {
      event.preventDefault();
      open();
    } else if (event.key === "?" && keys) {
      event.preventDefault();
      keys.showModal();
    } else if (event.key === "g") jumping = Date.now();
    else if (JUMPS[event.key] && Date.now() - jumping < 1000) {
      jumping = 0;
      location.assign(JUMPS[event.key]);
    } else jumping = 0;
  });

  input.addEventListener("input", () => {
    clearTimeout(timer);
    kind = "";
    entered = null;
    timer = setTimeout(ask, 120);
  });
  list.addEventListener("click", (event) => {
    const chip = event.target.closest("[data-kind]");
    if (!chip) return;
    event.preventDefault();
    kind = chip.dataset.kind;
    ask();
    input.focus();
  });
  list.addEventListener("pointermove", (event) => {
    const hit = event.target.closest("[role=option]");
    if (hit && hit !== selected()) select(hit);
  });
  palette.addEventListener("click", (event) => { if (event.target === palette) palette.close(); });
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-palette-open]");
    if (!opener) return;
    event.preventDefault();
    open();
  });
})();
