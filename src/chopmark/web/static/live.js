// The picture follows what is typed: each wish is a stream of previews, and the next one ends it.
"use strict";
(() => {
  const setUp = () => {
    const ask = document.getElementById("ask"), on = document.getElementById("live-on");
    if (!ask || !on) return;
    const by = (id) => document.getElementById(id);
    const look = by("live-look"), say = by("live-say"), seed = by("live-seed"), keep = by("live-keep");
    const PAUSE_MS = 120, BASE = Math.floor(Math.random() * 4e9);
    // Not randomUUID, which browsers have at secure addresses alone.
    const name = () => [...crypto.getRandomValues(new Uint8Array(16))].map((one) => one.toString(16).padStart(2, "0")).join("");
    let sitting = name(), sent = "", timer = null, running = null, shown = null;

    const wish = () => ({
      prompt: ask.elements.prompt.value.trim(),
      negative_prompt: ask.elements.negative_prompt ? ask.elements.negative_prompt.value : "",
      size: ask.elements.size.value,
      seed: String(BASE + Number(seed.value)),
    });
    const form = (fields) => {
      const data = new FormData();
      for (const [field, value] of Object.entries({ csrf: ask.elements.csrf.value, sitting, ...fields })) data.set(field, value);
      return data;
    };
    const later = () => {
      if (!on.checked) return;
      clearTimeout(timer);
      timer = setTimeout(follow, PAUSE_MS);
    };
    const follow = async () => {
      const now = wish(), key = JSON.stringify(now);
      if (!now.prompt || key === sent) return;
      sent = key;
      if (running) running.abort();
      const mine = running = new AbortController();
      try {
        const answer = await fetch("/studio/live", { method: "POST", body: form(now), signal: mine.signal });
        if (!answer.ok) { told(now, "failed", await answer.json()); return; }
        await read(answer.body, (kind, data) => { if (mine === running) told(now, kind, data); });
      } catch (error) {
        if (error.name !== "AbortError") told(now, "failed", { message: "The server does not answer." });
      } finally {
        if (mine === running) running = null;
      }
    };
    const read = async (body, tell) => {
      const reader = body.pipeThrough(new TextDecoderStream()).getReader();
      for (let text = "";;) {
        const { value, done } = await reader.read();
        if (done) return;
        text += value;
        for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
          const lines = text.slice(0, end).split("\n");
          if (lines[0].startsWith("event: ")) tell(lines[0].slice(7), JSON.parse(lines[1].slice(6)));
        }
      }
    };
    const told = (now, kind, data) => {
      if (kind === "heard") { say.dataset.unknown = data.unknown.join(", "); return; }
      if (kind === "look") {
        look.src = data.src; look.hidden = false; look.classList.remove("old");
        look.alt = "Preview of: " + now.prompt; look.dataset.seed = now.seed;
        shown = now; keep.disabled = false;
        const unknown = say.dataset.unknown;
        say.textContent = unknown ? "This small model does not know: " + unknown : "";
      } else if (kind === "refused" || kind === "failed") {
        // What was shown before stays, and is marked as older than what was wished now.
        look.classList.add("old");
        say.textContent = kind === "refused" ? "Not shown: " + data.message + ". Go on with other words." : (data.message || data.detail || data.title || "That did not work.");
        if (kind === "failed") sent = "";
      }
    };
    const leave = () => {
      if (running) { running.abort(); running = null; }
      if (sent) navigator.sendBeacon("/studio/live/end", form({}));
      sent = ""; sitting = name();
    };
    by("live").hidden = false;
    on.addEventListener("change", () => { by("live-now").hidden = !on.checked; if (on.checked) later(); else leave(); });
    for (const one of ["prompt", "negative_prompt"]) if (ask.elements[one]) ask.elements[one].addEventListener("input", later);
    for (const one of [seed, ask.elements.size]) one.addEventListener("input", later);
    keep.addEventListener("click", () => {
      if (!shown) return;
      ask.elements.prompt.value = shown.prompt; ask.elements.seed.value = shown.seed; ask.elements.size.value = shown.size; ask.elements.n.value = 1;
      if (ask.elements.held) ask.elements.held.value = "";
      ask.requestSubmit(by("make"));
    });
    window.addEventListener("pagehide", leave);
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", setUp); else setUp();
})();
