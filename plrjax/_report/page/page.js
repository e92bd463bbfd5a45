"use strict";
function valueOf(cell) {
  const raw = cell.dataset.value, number = parseFloat(raw);
  return raw !== undefined && !Number.isNaN(number) ? number : cell.textContent.trim();
}
function compare(a, b) {
  const numbers = typeof a === "number" && typeof b === "number";
  return numbers ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
}
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.parentElement, table = head.closest("table"), body = table.tBodies[0];
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...body.rows].map((row) => [valueOf(row.cells[head.cellIndex]), row]);
    rows.sort((x, y) => (down ? compare(y[0], x[0]) : compare(x[0], y[0])));
    body.append(...rows.map((pair) => pair[1]));
  });
}
function colors() {
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--ink").trim(), line = style.getPropertyValue("--line").trim();
  const axis = { color: ink, gridcolor: line, zerolinecolor: line, showbackground: false };
  return { font: { color: ink }, axis };
}
function layout(scene) {
  const { font, axis } = colors(), wide = window.innerWidth > 700;
  const axes = {};
  for (const name of ["xaxis", "yaxis", "zaxis"]) axes[name] = { ...scene.layout.scene[name], ...axis };
  return {
    scene: { ...scene.layout.scene, ...axes, camera: { eye: { x: 1.3, y: -1.85, z: 0.75 }, center: { x: 0, y: 0, z: -0.12 } } }, font, margin: { l: 0, r: 0, t: 0, b: 0 },
    paper_bgcolor: "rgba(0,0,0,0)", uirevision: "kept",
    legend: wide ? { itemsizing: "constant" } : { itemsizing: "constant", orientation: "h", y: -0.05 },
  };
}
async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}
async function turn() {
  const place = document.getElementById("view"), source = document.getElementById("scene");
  if (!place || !source) return;
  const canvas = document.createElement("canvas");
  if (!canvas.getContext("webgl2") && !canvas.getContext("webgl")) return;
  const script = document.createElement("script");
  script.textContent = await unpacked(document.getElementById("library").textContent.trim());
  document.head.append(script);
  const scene = JSON.parse(source.textContent);
  const options = { displayModeBar: false, responsive: true };
  place.replaceChildren();
  await Plotly.newPlot(place, scene.data, layout(scene), options);
  place.dataset.ready = "yes";
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", () => Plotly.relayout(place, layout(scene)));
}
turn().catch((problem) => {
  document.getElementById("view").textContent = "The view that turns could not be drawn: " + problem;
});
