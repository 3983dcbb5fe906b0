/* One tooltip for the page: what `data-tip` says, after the element's own name, on hover and on focus. */
"use strict";
(function () {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.id = "tip";
  tip.setAttribute("role", "tooltip");
  tip.hidden = true;
  let owner = null;

  function place(element) {
    const box = element.getBoundingClientRect();
    const gap = 7;
    const left = Math.min(Math.max(8, box.left + box.width / 2 - tip.offsetWidth / 2), innerWidth - tip.offsetWidth - 8);
    const above = box.top - tip.offsetHeight - gap;
    tip.style.left = Math.round(left) + "px";
    tip.style.top = Math.round(above > 4 ? above : box.bottom + gap) + "px";
  }

  function show(element, text) {
    if (!element || !text) {
      if (owner && owner.getAttribute("aria-describedby") === "tip") owner.removeAttribute("aria-describedby");
      owner = null;
      tip.hidden = true;
      return;
    }
    if (!tip.isConnected) document.body.append(tip);
    owner = element;
    tip.textContent = text;
    tip.hidden = false;
    element.setAttribute("aria-describedby", "tip");
    place(element);
  }

  function wording(element) {
    // a tile's own words are its label; its tip adds to them
    const label = element.matches(".tile") ? element.getAttribute("aria-label") : "";
    return [label, element.dataset.tip].filter(Boolean).join("\n");
  }

  const over = (event) => {
    const element = event.target.closest && event.target.closest("[data-tip], a.tile");
    if (element !== owner) show(element, element ? wording(element) : "");
  };
  document.addEventListener("pointerover", over);
  document.addEventListener("focusin", (event) => { if (event.target.matches(":focus-visible, .term")) over(event); });
  document.addEventListener("focusout", () => show(null));
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") show(null); });
  addEventListener("scroll", () => show(null), { passive: true, capture: true });
  window.Muster.tip = show;
})();
