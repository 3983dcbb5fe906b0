/* Copying: `data-copy` gives its text, `data-copy-from` the text of that element beside it; both confirm in place for 2 s. And a
   name that shows less than it is (ui.name) is copied whole. */
"use strict";
(function () {
  async function write(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      return false; // plain HTTP from another host: the browser gives no clipboard
    }
  }

  function confirm(button, done) {
    const word = button.querySelector("[data-copy-word]");
    const said = done ? "Copied" : "Not allowed here";
    if (word) {
      const before = word.dataset.before || word.textContent;
      word.dataset.before = before;
      word.textContent = said;
      setTimeout(() => { word.textContent = before; }, 2000);
    } else {
      window.Muster.tip(button, said);
      setTimeout(() => window.Muster.tip(null), 2000);
    }
    const status = document.getElementById("announce");
    if (status) status.textContent = said;
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy], [data-copy-from]");
    if (!button) return;
    event.preventDefault();
    const text = button.hasAttribute("data-copy")
      ? button.dataset.copy
      : button.parentElement.querySelector(button.dataset.copyFrom).textContent;
    confirm(button, await write(text));
  });

  document.addEventListener("copy", (event) => {
    const selection = document.getSelection();
    if (!selection || selection.isCollapsed || !event.clipboardData) return;
    let text = selection.toString();
    const before = text;
    for (const name of document.querySelectorAll(".mid")) {
      if (!selection.containsNode(name, true)) continue;
      const broken = [...name.children].map((part) => part.textContent).filter(Boolean).join("\n");
      text = text.split(broken).join(name.title);
    }
    if (text === before) return;
    event.clipboardData.setData("text/plain", text);
    event.preventDefault();
  });
})();
