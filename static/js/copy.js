/* Copying: `data-copy` gives its text, `data-copy-from` the text of that element beside it; both confirm in place for 2 s. */
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
    const result = done ? "Copied" : "Not allowed here";
    if (word) {
      const before = word.dataset.before || word.textContent;
      word.dataset.before = before;
      word.textContent = result;
      setTimeout(() => { word.textContent = before; }, 2000);
    } else {
      window.Muster.tip(button, result);
      setTimeout(() => window.Muster.tip(null), 2000);
    }
    const status = document.getElementById("announce");
    if (status) status.textContent = result;
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
})();
