// What every page does quicker with a script: drop, paste, look at once, and where focus goes.
"use strict";
document.documentElement.classList.add("script");

const start = () => {
  for (const form of document.querySelectorAll("form[data-drop]")) dropInto(form);
  document.addEventListener("click", (event) => {
    // A button that must send the form as a browser does, since what comes back is a file.
    const button = event.target.closest("button[data-plain]");
    if (!button || !button.form) return;
    event.preventDefault();
    const form = button.form, kept = form.action;
    form.action = button.formAction;
    HTMLFormElement.prototype.submit.call(form);
    form.action = kept;
  });
  document.addEventListener("click", (event) => {
    const example = event.target.closest("button[data-example]"), prompt = document.getElementById("prompt");
    if (!example || !prompt) return;
    prompt.value = example.dataset.example;
    prompt.dispatchEvent(new Event("input", { bubbles: true }));
    prompt.focus();
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("button[data-print]")) window.print();
  });
  // On paper nothing can be opened: what is folded is shown, and folded again afterwards.
  window.addEventListener("beforeprint", () => {
    for (const one of document.querySelectorAll(".report .axes details:not([open])")) { one.open = true; one.dataset.folded = ""; }
  });
  window.addEventListener("afterprint", () => {
    for (const one of document.querySelectorAll("details[data-folded]")) { one.open = false; delete one.dataset.folded; }
  });
  document.addEventListener("submit", (event) => {
    const busy = event.target.dataset.busy;
    if (busy) { const button = event.submitter; button.textContent = busy; setTimeout(() => { button.disabled = true; }); }
  });
  document.body.addEventListener("htmx:after:swap", () => {
    const wanted = document.querySelector("[data-focus]:not([data-seen])");
    if (wanted) { wanted.dataset.seen = ""; wanted.focus({ preventScroll: false }); }
  });
};

const dropInto = (form) => {
  const input = form.querySelector("input[type=file]"), zone = form.querySelector(".drop");
  const take = (files) => {
    // What has no type of its own, such as camera raw, is sent as well: the answer says what it is.
    const wanted = [...files].filter((file) => !file.type || /^(image|video)\/|pdf$/.test(file.type));
    if (!wanted.length) return;
    const list = new DataTransfer();
    for (const file of input.multiple ? wanted : wanted.slice(0, 1)) list.items.add(file);
    input.files = list.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  };
  form.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  form.addEventListener("dragleave", () => zone.classList.remove("over"));
  form.addEventListener("drop", (event) => { event.preventDefault(); zone.classList.remove("over"); take(event.dataTransfer.files); });
  document.addEventListener("paste", (event) => { if (event.clipboardData.files.length) take(event.clipboardData.files); });
  if ("sendAtOnce" in form.dataset) input.addEventListener("change", () => { if (input.files.length) form.requestSubmit(); });
};

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
else start();
