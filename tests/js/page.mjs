// A small page for scripts that run in Node: elements, events and a clock, as far as the scripts under test ask for them.
import { readFileSync } from "node:fs";
import vm from "node:vm";

const FOLDER = new URL("../../static/js/", import.meta.url);

export class Element {
  constructor({ data = {}, text = "", attributes = {} } = {}) {
    this.dataset = { ...data };
    this.textContent = text;
    this.attributes = new Map(Object.entries(attributes));
    this.style = {};
    this.children = [];
    this.parentElement = null;
    this.closestBy = {};
    this.found = {};
  }
  setAttribute(name, value) { this.attributes.set(name, value); }
  getAttribute(name) { return this.attributes.get(name) ?? null; }
  hasAttribute(name) { return this.attributes.has(name); }
  toggleAttribute(name, on = !this.attributes.has(name)) { if (on) this.attributes.set(name, ""); else this.attributes.delete(name); }
  closest(selector) { return this.closestBy[selector] ?? null; }
  querySelector(selector) { return this.found[selector] ?? null; }
  append(child) { child.parentElement = this; }
  remove() { this.parentElement = null; }
  dispatchEvent() {}
}

/** Runs one script of static/js on a page; returns the page and what the script put on window.Muster. */
export function run(script, { now = "2026-11-30T12:00:00Z", data = {}, lists = {}, ids = {}, globals = {} } = {}) {
  const listeners = {};
  const timers = [];
  const clock = { now: Date.parse(now) };
  class PageDate extends Date {
    constructor(...given) { super(...(given.length ? given : [clock.now])); }
    static now() { return clock.now; }
  }
  const document = {
    documentElement: new Element({ data }),
    body: new Element(),
    hidden: false,
    addEventListener: (name, work) => (listeners[name] ||= []).push(work),
    querySelectorAll: (selector) => lists[selector] ?? [],
    querySelector: (selector) => (lists[selector] ?? [])[0] ?? null,
    getElementById: (id) => ids[id] ?? null,
    createElement: () => new Element(),
  };
  const window = { Muster: {}, ...globals };
  globals = { ...globals };
  delete globals.Muster;
  const context = vm.createContext({
    window, document, console, Date: PageDate, AbortController, URL, Map, Set, Math, JSON, Number, Object, String, Array, Error, RegExp,
    setTimeout: (work, ms) => timers.push({ work, ms }), clearTimeout: () => {}, setInterval: (work, ms) => timers.push({ work, ms }),
    CustomEvent: class { constructor(name) { this.type = name; } }, ...globals,
  });
  vm.runInContext(readFileSync(new URL(script, FOLDER), "utf8"), context, { filename: script });
  const fire = (name, event) => Promise.all((listeners[name] ?? []).map((work) => work(event)));
  return { window, document, clock, timers, fire, muster: window.Muster };
}
