// Keys, the slice viewer, and form tokens. No dependency; nothing leaves this host.
"use strict";

const byId = (id) => document.getElementById(id);
const isTyping = (target) => target.closest("input:not([type=range]), select, textarea") !== null;

// Rows: j and k choose, Enter opens; the choice survives the rows being replaced.
let chosen = "";

function rows() {
  return [...document.querySelectorAll("#rows tr[id]")];
}

function choose(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.findIndex((row) => row.id === chosen);
  const row = all[Math.min(Math.max(at + step, 0), all.length - 1)];
  chosen = row.id;
  mark();
  row.querySelector("a").focus();
  row.scrollIntoView({ block: "nearest" });
}

function mark() {
  for (const row of rows()) row.classList.toggle("chosen", row.id === chosen);
}

// The slice viewer.
const viewer = byId("viewer");
const state = { window: "lung" };

let drawing = 0;

function show(number) {
  const last = Number(viewer.dataset.slices);
  const slice = Math.min(Math.max(number, 1), last);
  viewer.dataset.slice = slice;
  byId("slice").value = slice;
  byId("slice-number").textContent = slice;
  clearTimeout(drawing);
  drawing = setTimeout(draw, 60, slice); // while one slides, only the last is asked for
}

function draw(slice) {
  const base = `/series/${viewer.dataset.series}`;
  byId("slice-image").src = `${base}/slice/${slice}.png?window=${state.window}`;
  byId("slice-image").alt = `${byId("slice-image").dataset.alt} ${slice}`;
  byId("slice-overlay").src = `${base}/overlay/${slice}.png`;
}

function tellWhetherThereArePictures() {
  const image = byId("slice-image");
  const tell = () => viewer.classList.toggle("gone", image.complete && image.naturalWidth === 0);
  for (const what of ["load", "error"]) image.addEventListener(what, tell);
  tell(); // it may have come, or failed, before this script
}

function toggleOutlines() {
  const isOff = byId("slice-overlay").classList.toggle("off");
  byId("outlines").setAttribute("aria-pressed", String(!isOff));
}

function toggleWindow() {
  state.window = state.window === "lung" ? "soft" : "lung";
  const words = byId("window").dataset;
  byId("window").firstChild.textContent = `${state.window === "lung" ? words.soft : words.lung} `;
  show(Number(viewer.dataset.slice));
}

function markMissed() {
  const field = byId("missed");
  const slices = new Set(field.value.split(/[\s,;]+/).filter(Boolean));
  const slice = viewer.dataset.slice;
  if (!slices.delete(slice)) slices.add(slice);
  field.value = [...slices].join(", ");
}

if (viewer) {
  tellWhetherThereArePictures();
  byId("mark-missed")?.addEventListener("click", markMissed);
  byId("slice").addEventListener("input", (event) => show(Number(event.target.value)));
  byId("outlines").addEventListener("click", toggleOutlines);
  byId("window").addEventListener("click", toggleWindow);
  byId("strength").addEventListener("input", (event) => {
    byId("slice-overlay").style.opacity = String(event.target.value / 100);
  });
  viewer.addEventListener("wheel", (event) => {
    event.preventDefault();
    show(Number(viewer.dataset.slice) - Math.sign(event.deltaY));
  }, { passive: false });
  for (const button of document.querySelectorAll("[data-to-slice]")) {
    button.addEventListener("click", () => show(Number(button.dataset.toSlice)));
  }
}

for (const button of document.querySelectorAll("[data-opens]")) {
  button.addEventListener("click", () => byId(button.dataset.opens).showModal());
}

// Keys.
let goes = false;

const keys = {
  "/": () => document.querySelector("input[type=search]")?.focus(),
  "?": () => byId("keys")?.showModal(),
  j: () => choose(1),
  k: () => choose(-1),
  o: () => viewer && toggleOutlines(),
  b: () => viewer && toggleWindow(),
  x: () => byId("mark-missed")?.click(),
  ArrowRight: () => viewer && show(Number(viewer.dataset.slice) + 1),
  ArrowLeft: () => viewer && show(Number(viewer.dataset.slice) - 1),
};

document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (goes) {
    goes = false;
    document.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`)?.click();
    return;
  }
  if (event.key === "g") {
    goes = true;
    return;
  }
  if (viewer && /^[1-9]$/.test(event.key)) {
    document.querySelectorAll("[data-to-slice]")[Number(event.key) - 1]?.click();
    return;
  }
  if (event.target.matches("input[type=range]") && event.key.startsWith("Arrow")) return;
  const button = document.querySelector(`form button[data-key="${CSS.escape(event.key)}"]`);
  if (button) {
    button.click();
    return;
  }
  const act = keys[event.key];
  if (act) {
    event.preventDefault();
    act();
  }
});

// Rows that are replaced take the focus away: the chosen one gets it back, and Enter opens it still.
let hadFocus = false;

document.addEventListener("htmx:beforeSwap", (event) => {
  hadFocus = event.detail.target.contains(document.activeElement);
});

document.addEventListener("htmx:afterSwap", () => {
  mark();
  if (hadFocus) byId(chosen)?.querySelector("a").focus({ preventScroll: true });
});

// A page may stay open past midnight: a time of the day before needs its date then.
const opened = new Date().toDateString();

function addDates() {
  if (new Date().toDateString() === opened) return;
  for (const time of document.querySelectorAll("time[title]")) {
    const isToday = new Date(time.dateTime).toDateString() === new Date().toDateString();
    if (!isToday && !time.textContent.includes("-")) time.textContent = time.title.slice(0, 16);
  }
}

setInterval(addDates, 60 * 1000);
document.addEventListener("htmx:afterSwap", addDates);
