// What all pages share: data parts that load as scripts, and the choice of light or dark.
"use strict";
const SFT = (() => {
  const parts = new Map();
  const waiting = new Map();

  // A data part calls this when its script runs.
  function data(name, value) {
    parts.set(name, value);
    (waiting.get(name) || []).forEach((done) => done(value));
    waiting.delete(name);
  }

  // Load a data part once, and answer with its value.
  function need(name) {
    if (parts.has(name)) return Promise.resolve(parts.get(name));
    return new Promise((done, fail) => {
      if (waiting.has(name)) { waiting.get(name).push(done); return; }
      waiting.set(name, [done]);
      const script = document.createElement("script");
      script.src = "data/" + name.split("/").map(encodeURIComponent).join("/") + ".js";
      script.onerror = () => { waiting.delete(name); fail(new Error("cannot read " + script.src)); };
      document.head.append(script);
    });
  }

  // Make an element; text is always text.
  function make(tag, text, attributes) {
    const element = document.createElement(tag);
    if (text !== undefined && text !== null) element.textContent = text;
    for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
    return element;
  }

  function dark() { return document.documentElement.classList.contains("dark"); }

  function theme(on) {
    document.documentElement.classList.toggle("dark", on);
    const button = document.getElementById("theme");
    button.setAttribute("aria-pressed", String(on));
    document.dispatchEvent(new CustomEvent("theme"));
  }

  function remembered() {
    try { return localStorage.getItem("sfteval-theme"); } catch { return null; }
  }

  document.addEventListener("DOMContentLoaded", () => {
    const system = window.matchMedia("(prefers-color-scheme: dark)");
    const kept = remembered();
    theme(kept ? kept === "dark" : system.matches);
    system.addEventListener("change", (event) => { if (!remembered()) theme(event.matches); });
    document.getElementById("theme").addEventListener("click", () => {
      theme(!dark());
      try { localStorage.setItem("sfteval-theme", dark() ? "dark" : "light"); } catch { /* a page may not keep it */ }
    });
  });

  return { data, need, make, dark };
})();
