// Single keys for the desk. They are off until somebody turns them on (WCAG 2.1.4), and never act
// while somebody writes.
"use strict";
(() => {
  const stored = "chopmark.keys", on = () => localStorage.getItem(stored) === "on";
  const ready = () => {
    for (const box of document.querySelectorAll("[data-keys]")) {
      box.checked = on();
      box.addEventListener("change", () => localStorage.setItem(stored, box.checked ? "on" : "off"));
    }
  };
  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-tick-all]")) return;
    for (const box of event.target.form.querySelectorAll("input[name=records]")) box.checked = event.target.checked;
  });
  document.addEventListener("keydown", (event) => {
    if (!on() || event.ctrlKey || event.metaKey || event.altKey) return;
    const where = event.target;
    if (where.closest("textarea, select, input:not([type=radio], [type=checkbox])")) return;
    const wanted = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (!wanted) return;
    event.preventDefault();
    if (wanted.matches("textarea")) wanted.focus(); else wanted.click();
  });
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", ready); else ready();
})();
