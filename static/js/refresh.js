/* Live pages: every element with `data-refresh-url` is asked for again every `data-refresh-s` of <html> seconds (15), changed
   only where the answer differs (morph.js), and left alone when the server says 304. Hidden tabs do not ask. After two failures
   the live button says since when nothing came, and the page keeps its truth. */
"use strict";
(function () {
  const every = 1000 * Number(document.documentElement.dataset.refreshS || 15);
  const running = new Map();
  let failures = 0;
  let lastGood = window.Muster.ages.now();
  let lastAsked = Date.now();
  let paused = false;

  const regions = () => document.querySelectorAll("[data-refresh-url]");

  function show() {
    for (const live of document.querySelectorAll("[data-live]")) {
      const late = failures >= 2;
      live.dataset.state = paused ? "paused" : late ? "late" : "live";
      live.setAttribute("aria-pressed", String(!paused));
      const clock = lastGood.toISOString().slice(11, 16);
      live.querySelector("[data-live-word]").textContent = paused ? "Paused" : late ? "Not updating since " + clock : "Live";
    }
  }

  async function refresh(region) {
    if (running.has(region)) return;
    const url = region.dataset.refreshUrl;
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), Math.max(every - 2000, 3000));
    running.set(region, abort);
    try {
      const headers = { "HX-Request": "true", "HX-Target": region.id, Accept: "text/html" };
      if (region.dataset.etag) headers["If-None-Match"] = region.dataset.etag;
      const answer = await fetch(url, { headers, cache: "no-store", credentials: "same-origin", signal: abort.signal });
      if (answer.headers.get("Date")) window.Muster.ages.setServerTime(answer.headers.get("Date"));
      if (answer.status !== 304) {
        // a redirect leads to the sign-in page, which is no new state of this region
        if (!answer.ok || answer.redirected) throw new Error("answered " + answer.status);
        const text = await answer.text();
        if (abort.signal.aborted || region.dataset.refreshUrl !== url || !region.isConnected) return;
        const template = document.createElement("template");
        template.innerHTML = text;
        for (const title of template.content.querySelectorAll("title")) {
          document.title = title.textContent;
          title.remove();
        }
        window.Muster.morph(region, template.content, { refresh: true });
        if (answer.headers.get("ETag")) region.dataset.etag = answer.headers.get("ETag");
        if (window.htmx) htmx.process(region);
        region.dispatchEvent(new CustomEvent("muster:refreshed", { bubbles: true }));
      }
      failures = 0;
      lastGood = window.Muster.ages.now();
    } catch (error) {
      if (abort.signal.aborted && abort.signal.reason === "superseded") return;
      failures += 1;
    } finally {
      clearTimeout(timer);
      running.delete(region);
      show();
    }
  }

  function refreshAll() {
    lastAsked = Date.now();
    for (const region of regions()) refresh(region);
  }

  setInterval(() => { if (!document.hidden && !paused) refreshAll(); }, every);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && !paused && Date.now() - lastAsked > every) refreshAll();
  });
  document.addEventListener("muster:refresh", refreshAll);
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-live]")) return;
    paused = !paused;
    failures = 0;
    show();
    if (!paused) refreshAll();
  });

  /* A question the reader asked comes first: what is under way for the same region is dropped. */
  document.addEventListener("htmx:beforeRequest", (event) => {
    for (const [region, abort] of running) if (region.contains(event.detail.target)) abort.abort("superseded");
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    const { target, xhr, successful } = event.detail;
    const region = target && target.closest("[data-refresh-url]");
    if (!region || !successful) return;
    const etag = xhr.getResponseHeader("ETag");
    if (etag && region === target) region.dataset.etag = etag;
    else delete region.dataset.etag;
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    // signed out since: the sign-in page replaces the window, not the region
    const { xhr, requestConfig } = event.detail;
    if (requestConfig.verb !== "get") return;
    const landed = new URL(xhr.responseURL || location.href, location.href);
    const asked = new URL(event.detail.pathInfo.requestPath, location.href);
    if (landed.pathname !== asked.pathname) {
      event.detail.shouldSwap = false;
      location.assign(landed.href);
    }
  });

  /* A question that failed: its card says so, the rest of the page stays. */
  function failed(event) {
    const { target, xhr, pathInfo } = event.detail;
    const template = document.getElementById("request-failed");
    if (!template || !target) return;
    for (const old of document.querySelectorAll("[data-failure]")) old.remove();
    const box = template.content.cloneNode(true).firstElementChild;
    const status = xhr && xhr.status;
    const id = xhr && xhr.getResponseHeader && xhr.getResponseHeader("X-Request-ID");
    box.dataset.failure = "";
    box.querySelector(".box__text").textContent = status
      ? "Request" + (id ? " " + id : "") + " answered " + status + ". The rest of the page is current."
      : "The server could not be reached. Showing last known data.";
    if (pathInfo) box.querySelector("[data-retry]").href = pathInfo.requestPath;
    target.prepend(box);
  }
  document.addEventListener("htmx:responseError", failed);
  document.addEventListener("htmx:sendError", failed);
  document.addEventListener("htmx:timeout", failed);
  show();
})();
