/* The theme button, the side bar on a phone, menus, and the keys: "/" goes to the search where there is no palette, arrows move in segmented controls and
   in the tile map, Escape closes. */
"use strict";
(function () {
  const side = document.getElementById("side");
  const veil = document.querySelector("[data-veil]");
  const opener = document.querySelector("[data-side-open]");

  function openSide(open) {
    if (!side || !opener) return;
    side.toggleAttribute("data-open", open);
    veil.hidden = !open;
    opener.setAttribute("aria-expanded", String(open));
    if (open) side.querySelector("a, button, input").focus();
    else opener.focus();
  }

  document.addEventListener("click", (event) => {
    const at = (selector) => event.target.closest(selector);
    if (at("[data-theme-turn]")) window.Muster.turnTheme();
    if (at("[data-side-open]")) openSide(!side.hasAttribute("data-open"));
    else if (at("[data-veil]")) openSide(false);
    const toggle = at("[data-toggle]");
    if (toggle) document.querySelector(toggle.dataset.toggle).toggleAttribute("data-open");
    for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
    if (at("[data-retry]") && !at("[data-retry]").getAttribute("href")) {
      event.preventDefault();
      location.reload();
    }
  });

  /* A form is sent once: its button says so until the answer comes, or the page is shown again. */
  const BUSY_S = 20;
  function busy(button, word) {
    const before = [...button.childNodes];
    button.disabled = true;
    button.setAttribute("aria-busy", "true");
    button.replaceChildren(word);
    const again = () => {
      button.disabled = false;
      button.removeAttribute("aria-busy");
      button.replaceChildren(...before);
    };
    window.addEventListener("pageshow", again, { once: true });
    setTimeout(again, BUSY_S * 1000);
  }

  document.addEventListener("submit", (event) => {
    const form = event.target;
    const button = event.submitter || form.querySelector("button:not([type=button])");
    if (event.defaultPrevented || form.method !== "post" || form.hasAttribute("hx-post") || !button) return;
    // after this event: a disabled button is not part of what is sent
    setTimeout(() => busy(button, form.dataset.busy || "Saving\u2026"));
  });

  const typing = (element) => element.matches("input, textarea, select, [contenteditable]");

  function segmented(event, group) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const items = [...group.children];
    const next = items[(items.indexOf(document.activeElement) + step + items.length) % items.length];
    event.preventDefault();
    next.focus();
  }

  /* Up and down look for the tile that lies nearest in the next row. */
  function vertical(tiles, from, step) {
    const box = tiles[from].getBoundingClientRect();
    let row = null;
    let best = -1;
    let nearest = Infinity;
    for (let i = from + step; i >= 0 && i < tiles.length; i += step) {
      const other = tiles[i].getBoundingClientRect();
      if (Math.abs(other.top - box.top) < 2) continue;
      if (row === null) row = other.top;
      if (Math.abs(other.top - row) > 2) break;
      if (Math.abs(other.left - box.left) < nearest) {
        nearest = Math.abs(other.left - box.left);
        best = i;
      }
    }
    return best;
  }

  function tiles(event, map) {
    const all = [...map.querySelectorAll("a.tile")];
    const from = all.indexOf(document.activeElement);
    if (from < 0) return;
    const to = {
      ArrowRight: () => from + 1,
      ArrowLeft: () => from - 1,
      ArrowDown: () => vertical(all, from, 1),
      ArrowUp: () => vertical(all, from, -1),
      Home: () => 0,
      End: () => all.length - 1,
    }[event.key];
    if (!to) return;
    event.preventDefault();
    const next = all[to()];
    if (next) next.focus();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/" && !typing(event.target) && !document.getElementById("palette")) {
      const search = [...document.querySelectorAll("[data-search]")].find((input) => input.offsetParent);
      if (search) {
        event.preventDefault();
        search.focus();
        search.select();
      }
    } else if (event.key === "Escape") {
      if (side && side.hasAttribute("data-open")) openSide(false);
      for (const menu of document.querySelectorAll("details.menu[open]")) {
        menu.open = false;
        menu.querySelector("summary").focus();
      }
      if (event.target.matches("[data-search]")) event.target.blur();
    } else {
      const group = event.target.closest("[data-segmented]");
      const map = event.target.closest("[data-tile-map]");
      if (group) segmented(event, group);
      else if (map) tiles(event, map);
    }
  });

  // one tile at a time stands in the tab order
  document.addEventListener("focusin", (event) => {
    const tile = event.target.closest("a.tile");
    const map = tile && tile.closest("[data-tile-map]");
    if (!map) return;
    for (const other of map.querySelectorAll('a.tile[tabindex="0"]')) other.tabIndex = -1;
    tile.tabIndex = 0;
  });

  // rows of a long list on the page itself: `data-filter` names the rows it looks through
  function narrow(input) {
    const rows = input.dataset.filter
      ? document.querySelectorAll(input.dataset.filter)
      : input.closest(".facet__list").querySelectorAll(".facet__item");
    const wanted = input.value.trim().toLowerCase();
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  }
  const NARROWS = "[data-filter], [data-facet-search]";
  document.addEventListener("input", (event) => { if (event.target.matches(NARROWS)) narrow(event.target); });
  for (const swapped of ["muster:refreshed", "htmx:afterSwap"]) {
    document.addEventListener(swapped, () => {
      for (const input of document.querySelectorAll(NARROWS)) if (input.value) narrow(input);
    });
  }

  // an address names only the filters that are on
  document.addEventListener("htmx:configRequest", (event) => {
    const { elt, formData } = event.detail;
    if (!elt.closest("[data-drop-empty]") || !formData) return;
    for (const key of new Set(formData.keys())) {
      const kept = formData.getAll(key).filter(Boolean);
      formData.delete(key);
      for (const value of kept) formData.append(key, value);
    }
  });

  // searching among a facet's values is no question to the server
  for (const kind of ["change", "search"]) {
    document.addEventListener(kind, (event) => {
      if (event.target.matches("[data-facet-search], #view-name")) event.stopPropagation();
    }, true);
  }
})();
