// The brush of the studio: what is painted goes along as a picture, white on black.
"use strict";
(() => {
  const setUp = () => {
    const ask = document.getElementById("ask"), image = document.getElementById("image");
    if (!ask || !image) return;
    const held = document.getElementById("held"), note = document.getElementById("held-note");
    const canvas = document.getElementById("canvas"), mask = document.getElementById("mask");
    const box = document.querySelector(".brush"), width = document.getElementById("width");
    let picture = null, strokes = null, spot = { x: .5, y: .5 }, painted = false, down = false;

    const show = (source) => {
      if (!canvas) return;
      picture = new Image();
      picture.onload = () => {
        const most = 1024 / Math.max(picture.naturalWidth, picture.naturalHeight, 1024);
        canvas.width = Math.round(picture.naturalWidth * most);
        canvas.height = Math.round(picture.naturalHeight * most);
        strokes = new OffscreenCanvas(canvas.width, canvas.height);
        painted = false; mask.value = ""; box.hidden = false; draw();
      };
      picture.src = source;
    };
    const draw = () => {
      const pen = canvas.getContext("2d");
      pen.globalAlpha = 1; pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
      pen.globalAlpha = .55; pen.drawImage(strokes, 0, 0);
      if (document.activeElement === canvas) {
        pen.globalAlpha = 1; pen.lineWidth = 3; pen.strokeStyle = "#fff"; pen.beginPath();
        pen.arc(spot.x * canvas.width, spot.y * canvas.height, radius(), 0, 7); pen.stroke();
      }
    };
    const radius = () => canvas.width * width.value / 200;
    const dab = () => {
      const pen = strokes.getContext("2d");
      pen.fillStyle = "#fff"; pen.beginPath();
      pen.arc(spot.x * canvas.width, spot.y * canvas.height, radius(), 0, 7); pen.fill();
      painted = true; draw();
    };
    const keep = async () => {
      if (!painted) return;
      const out = new OffscreenCanvas(canvas.width, canvas.height), pen = out.getContext("2d");
      pen.fillStyle = "#000"; pen.fillRect(0, 0, out.width, out.height); pen.drawImage(strokes, 0, 0);
      const list = new DataTransfer();
      list.items.add(new File([await out.convertToBlob({ type: "image/png" })], "mask.png", { type: "image/png" }));
      mask.files = list.files;
    };
    const clear = () => { strokes.getContext("2d").clearRect(0, 0, canvas.width, canvas.height); painted = false; mask.value = ""; draw(); };
    const at = (event) => { const r = canvas.getBoundingClientRect(); spot = { x: (event.clientX - r.left) / r.width, y: (event.clientY - r.top) / r.height }; };

    image.addEventListener("change", () => { drop(); if (image.files.length) show(URL.createObjectURL(image.files[0])); else if (box) box.hidden = true; });
    const drop = () => { held.value = ""; note.hidden = true; };
    document.addEventListener("click", (event) => {
      const take = event.target.closest("[data-hold]");
      if (take) {
        held.value = take.dataset.hold; note.hidden = false; image.value = "";
        document.getElementById("from").open = true;
        show("/studio/pictures/" + take.dataset.hold);
        document.getElementById("prompt").focus();
      }
      if (event.target.closest("[data-drop-held]")) { drop(); if (box) box.hidden = true; }
      if (event.target.closest("[data-clear]")) clear();
    });
    if (!canvas) return;
    canvas.addEventListener("pointerdown", (event) => { down = true; canvas.setPointerCapture(event.pointerId); at(event); dab(); });
    canvas.addEventListener("pointermove", (event) => { if (down) { at(event); dab(); } });
    canvas.addEventListener("pointerup", () => { down = false; keep(); });
    canvas.addEventListener("focus", draw); canvas.addEventListener("blur", draw);
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-.02, 0], ArrowRight: [.02, 0], ArrowUp: [0, -.02], ArrowDown: [0, .02] }[event.key];
      if (step) { spot = { x: Math.min(1, Math.max(0, spot.x + step[0])), y: Math.min(1, Math.max(0, spot.y + step[1])) }; draw(); }
      else if (event.key === " ") { dab(); keep(); }
      else if (event.key === "Backspace") clear();
      else return;
      event.preventDefault();
    });
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", setUp); else setUp();
})();
