/* Turns one piece of the page into another by the fewest changes, so that scroll, focus, selection, open details and half-typed
   text survive. htmx 2 has no such swap: this is one, under the name `morph`. Children are matched by id or data-key, else in order.

   Attributes of parts of the page:
     data-key        who this is among its siblings
     data-value      a figure: flashes once when a refresh changes it
     data-preserve   leave what is inside alone while this attribute's value stays the same
     data-hold       a list in use: while the pointer or the focus is in it, a refresh leaves its order
     data-new-for    says afterwards how many rows came to the list of that id */
"use strict";
(function () {
  const KEPT = new Set(["tabindex", "aria-expanded", "data-open"]); // set by Muster's scripts, and kept
  const FIELDS = new Set(["INPUT", "TEXTAREA", "OPTION"]);
  let refreshing = false; // a refresh by the timer, as opposed to the response to a click
  let changed = new Set();

  const keyOf = (node) => {
    if (node.nodeType !== 1) return "";
    return node.dataset.key || node.id || (node.classList.contains("tile") && node.getAttribute("href")) || "";
  };
  const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);
  const busy = (list) => list.matches(":hover") || (document.activeElement !== list && list.contains(document.activeElement));

  function patchAttributes(from, to) {
    for (const { name, value } of [...to.attributes]) {
      if (KEPT.has(name) && from.hasAttribute(name)) continue;
      if (name === "open" && from.nodeName === "DETAILS") continue;
      if (from.getAttribute(name) !== value) from.setAttribute(name, value);
    }
    for (const { name } of [...from.attributes]) {
      if (!to.hasAttribute(name) && !KEPT.has(name) && name !== "open") from.removeAttribute(name);
    }
  }

  const isTicked = (field) => field.type === "checkbox" || field.type === "radio";

  /* Attributes are the server's state, properties the user's input. The server's answer wins, except over half-typed text
     and over a form that has the focus. */
  function patchField(from, to, valueBefore) {
    if (isTicked(from)) {
      if (!from.form || !from.form.contains(document.activeElement)) from.checked = to.hasAttribute("checked");
    } else if (from === document.activeElement) {
      return;
    } else if (from.nodeName === "OPTION") {
      from.selected = to.hasAttribute("selected");
    } else if (from.nodeName === "INPUT") {
      const value = to.getAttribute("value") || "";
      if (value !== valueBefore) from.value = value;
    } else if (from.nodeName === "TEXTAREA" && from.defaultValue !== to.textContent) {
      from.value = from.defaultValue = to.textContent;
    }
  }

  function noteChange(node) {
    const value = node.parentElement && node.parentElement.closest("[data-value]");
    if (value && !(node.parentElement.matches("time[data-age]"))) changed.add(value);
  }

  function patch(from, to) {
    if (from.nodeType !== 1) {
      if (from.nodeValue !== to.nodeValue) {
        from.nodeValue = to.nodeValue;
        if (refreshing) noteChange(from);
      }
      return;
    }
    if (from.isEqualNode(to)) {
      for (const field of [from, ...from.querySelectorAll("input")]) if (isTicked(field)) patchField(field, field);
      return;
    }
    if (to.dataset.preserve && from.dataset.preserve === to.dataset.preserve) return;
    const ticked = from.nodeName === "INPUT" && from.hasAttribute("checked") !== to.hasAttribute("checked");
    const valueBefore = from.getAttribute("value") || "";
    patchAttributes(from, to);
    // an age is written by the browser's own clock: only its moment counts
    if (from.matches("time[data-age]")) return;
    if (FIELDS.has(from.nodeName)) {
      if (ticked) from.checked = to.hasAttribute("checked");
      else patchField(from, to, valueBefore);
      return;
    }
    if (from.nodeName === "SCRIPT") {
      from.textContent = to.textContent;
      from.dispatchEvent(new CustomEvent("muster:data", { bubbles: true }));
      return;
    }
    if (refreshing && from.hasAttribute("data-hold") && busy(from)) return patchHeld(from, to);
    from.musterHeld = null; // an older answer that waited must not replace this one later
    patchChildren(from, to);
  }

  function patchChildren(from, to) {
    const keyed = new Map();
    for (const child of from.children) {
      const key = keyOf(child);
      if (key) keyed.set(key, child);
    }
    const wanted = new Set([...to.children].map(keyOf).filter(Boolean));
    let current = from.firstChild;
    for (const next of [...to.childNodes]) {
      const key = keyOf(next);
      let match = null;
      if (key) {
        match = keyed.get(key) || null;
        if (match && match.nodeName !== next.nodeName) match = null;
      } else {
        // skip what will be removed or has a key of its own, and take the first unnamed sibling of the same kind
        let probe = current;
        while (probe && keyOf(probe) && !wanted.has(keyOf(probe))) probe = probe.nextSibling;
        if (probe && !keyOf(probe) && alike(probe, next)) match = probe;
      }
      if (match) {
        // rather than move what matches (moving loses focus), drop what stands before it and is not wanted any more
        let between = current;
        while (between && between !== match && !(keyOf(between) && wanted.has(keyOf(between)))) between = between.nextSibling;
        while (between === match && current !== match) {
          const gone = current;
          current = current.nextSibling;
          gone.remove();
        }
        if (match === current) current = current.nextSibling;
        else from.insertBefore(match, current);
        patch(match, next);
      } else {
        from.insertBefore(document.importNode(next, true), current);
      }
    }
    while (current) {
      const gone = current;
      current = current.nextSibling;
      gone.remove();
    }
  }

  /* The list is in use: its rows are updated in place; new and removed rows wait. */
  function patchHeld(from, to) {
    const next = new Map([...to.children].filter(keyOf).map((child) => [keyOf(child), child]));
    const have = new Set();
    for (const child of from.children) {
      const key = keyOf(child);
      have.add(key);
      if (next.has(key)) patch(child, next.get(key));
    }
    const fresh = [...next.keys()].filter((key) => !have.has(key)).length;
    from.musterHeld = { to: to.cloneNode(true), fresh };
    if (from.musterWaits) return;
    from.musterWaits = true;
    const release = () => setTimeout(() => {
      if (!from.musterHeld || busy(from)) return;
      const held = from.musterHeld;
      from.musterHeld = null;
      from.musterWaits = false;
      from.removeEventListener("pointerleave", release);
      from.removeEventListener("focusout", release);
      run(() => patchChildren(from, held.to), false);
      if (held.fresh && from.id) {
        const note = document.querySelector('[data-new-for="' + CSS.escape(from.id) + '"]');
        if (note) note.textContent = held.fresh + " new";
      }
    }, 0);
    from.addEventListener("pointerleave", release);
    from.addEventListener("focusout", release);
  }

  function flash() {
    for (const element of changed) {
      element.classList.remove("flash");
      void element.offsetWidth; // a running animation restarts
      element.classList.add("flash");
      element.addEventListener("animationend", () => element.classList.remove("flash"), { once: true });
    }
  }

  function run(work, refresh) {
    const focused = document.activeElement;
    const anchor = CSS.supports("overflow-anchor", "auto") ? null : topmost();
    refreshing = refresh;
    changed = new Set();
    work();
    refreshing = false;
    if (focused && focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
    if (anchor && anchor.element.isConnected) {
      scrollBy(0, anchor.element.getBoundingClientRect().top - anchor.top);
    }
    if (refresh) flash();
    if (window.Muster.ages) window.Muster.ages.tick();
  }

  /* Browsers without scroll anchoring (Safari): remember what stands at the top of the window. */
  function topmost() {
    const element = document.elementFromPoint(innerWidth / 2, 90);
    return element && element !== document.body ? { element, top: element.getBoundingClientRect().top } : null;
  }

  /* `to` is an element or a fragment. One element with the target's own id stands for the target, anything else for its inside. */
  function into(target, to, { refresh = false } = {}) {
    const only = to.nodeType === 11 && to.firstElementChild && to.firstElementChild === to.lastElementChild ? to.firstElementChild : null;
    const whole = to.nodeType === 1 ? to : only && only.id && only.id === target.id ? only : null;
    run(() => (whole ? patch(target, whole) : patchChildren(target, to)), refresh);
    return target;
  }

  window.Muster.morph = into;
  if (window.htmx) {
    htmx.defineExtension("morph", {
      isInlineSwap: (style) => style === "morph",
      handleSwap: (style, target, fragment) => (style === "morph" ? [into(target, fragment)] : false),
    });
  }
})();
