"use strict";
// Sorts and copies tables, and lets readers choose a group and a period. The page is complete without it.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  const headers = [...table.tHead.rows[0].cells];
  const sortKey = (row, index) => {
    const cell = row.cells[index];
    return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent;
  };
  // Cells without a number stay last in both directions.
  const compare = (a, b, sign) =>
    typeof a !== typeof b ? (typeof a === "number" ? -1 : 1)
      : sign * (typeof a === "number" ? a - b : a.localeCompare(b));
  headers.forEach((header, index) => header.firstElementChild.addEventListener("click", () => {
    const sign = header.getAttribute("aria-sort") === "descending" ? 1 : -1;
    headers.forEach((other) => other.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const keyed = [...body.rows].map((row) => [sortKey(row, index), row]);
    keyed.sort(([a], [b]) => compare(a, b, sign));
    body.append(...keyed.map(([, row]) => row));
  }));
}
for (const button of document.querySelectorAll(".copy")) {
  button.addEventListener("click", async () => {
    const rows = [...button.parentElement.querySelector("table").rows];
    const text = rows.map((row) => [...row.cells].map((cell) => cell.textContent.trim()).join("\t")).join("\n");
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Copying is blocked: select the table instead";
    }
  });
}
// A link to a table that is collapsed opens it.
for (const link of document.querySelectorAll("td a, nav a")) {
  link.addEventListener("click", () => document.querySelector(`${link.hash} .reference`)?.setAttribute("open", ""));
}
for (const element of document.querySelectorAll(".needs-script")) { element.hidden = false; }
for (const explorer of document.querySelectorAll(".explorer")) { explore(explorer); }

function explore(explorer) {
  const data = JSON.parse(explorer.querySelector("script").textContent);
  const [group, from, to, chosen] = explorer.querySelectorAll("select");
  const values = explorer.querySelectorAll("strong");
  const labels = data.buckets.map(([label]) => label);
  const fill = (select, texts, first) => select.append(...texts.map((text, index) => new Option(text, first + index)));
  fill(group, data.groups, 0);
  fill(from, labels, 0);
  fill(to, labels, 0);
  fill(chosen, data.figures.map((figure) => figure.title), 0);
  to.value = labels.length - 1;

  // The value of a figure over some rows; null where nothing is known of it.
  function evaluate(figure, rows) {
    const nothing = figure.unit === "count" ? 0 : null;
    const sum = (column) => rows.reduce((total, row) => row[2 + column] === null ? total : total + row[2 + column], nothing);
    if (figure.known && !sum(figure.known[0]) && sum(figure.known[1])) { return null; }
    if (figure.per === null) { return sum(figure.column); }
    return sum(figure.per) ? sum(figure.column) / sum(figure.per) : null;
  }

  function draw() {
    const [first, last] = [Number(from.value), Number(to.value)].sort((a, b) => a - b);
    const rows = data.rows.filter(([bucket, of]) =>
      bucket >= first && bucket <= last && (group.value === "" || of === Number(group.value)));
    data.figures.forEach((figure, index) => { values[index].textContent = format(evaluate(figure, rows), figure.unit); });
    const figure = data.figures[chosen.value];
    const bars = data.buckets.slice(first, last + 1).map(([label, start, end], index) => ({
      label, start, end, value: evaluate(figure, rows.filter(([bucket]) => bucket === first + index)) }));
    const scope = `${group.selectedOptions[0].text}, ${labels[first]} to ${labels[last]}`;
    explorer.querySelector(".chart").replaceChildren(drawBars(bars, figure, scope, explorer.clientWidth));
  }
  explorer.addEventListener("change", draw);
  window.addEventListener("resize", draw);
  draw();
}

function format(value, unit) {
  if (value === null) { return "—"; }
  if (unit === "ratio") { return `${(100 * value).toFixed(1)} %`; }
  return unit === "ms" ? formatDuration(value) : value.toLocaleString("en-US");
}

// In the two largest units, as the tables have it.
function formatDuration(milliseconds) {
  if (milliseconds > 0 && milliseconds < 999.5) { return `${Number(milliseconds.toPrecision(3))} ms`; }
  if (milliseconds > 0 && milliseconds < 59950) { return `${Number((milliseconds / 1000).toFixed(1))} s`; }
  let rest = Math.round(milliseconds / 1000);
  const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]].map(([name, seconds]) => {
    const count = Math.floor(rest / seconds);
    rest %= seconds;
    return [count, name];
  });
  const largest = Math.max(0, parts.findIndex(([count]) => count));
  const shown = parts.slice(largest, largest + 2).filter(([count]) => count);
  return shown.map(([count, name]) => `${count.toLocaleString("en-US")} ${name}`).join(" ") || "0 s";
}

function drawBars(bars, figure, scope, width) {
  const [left, right, top, height] = [84, 12, 12, 190];
  const largest = figure.unit === "ratio" ? 1 : Math.max(...bars.map((bar) => bar.value ?? 0), 1);
  const [start, end] = [bars[0].start, bars[bars.length - 1].end];
  const x = (time) => left + (time - start) / (end - start) * (width - left - right);
  const y = (value) => top + (1 - value / largest) * (height - top - 26);
  const add = (parent, name, attributes, text = "") => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
    element.textContent = text;
    parent?.append(element);
    return element;
  };
  const svg = add(null, "svg", { width, height, role: "img", "aria-label": `${figure.title}: ${scope}` });
  for (const value of [0, largest / 2, largest]) {
    add(svg, "line", { x1: left, x2: width - right, y1: y(value), y2: y(value), stroke: "var(--border)" });
    const label = format(figure.unit === "count" ? Math.round(value) : value, figure.unit);
    add(svg, "text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, label);
  }
  for (const bar of bars.filter(({ value }) => value !== null)) {
    const size = { width: Math.max(0.86 * (x(bar.end) - x(bar.start)), 0.5), height: y(0) - y(bar.value) };
    const rect = add(svg, "rect", { x: x(bar.start), y: y(bar.value), ...size, fill: "var(--series-1)" });
    add(rect, "title", {}, `${bar.label}: ${format(bar.value, figure.unit)}`);
  }
  add(svg, "text", { x: left, y: height - 6 }, bars[0].label);
  if (bars.length > 1) {
    add(svg, "text", { x: width - right, y: height - 6, "text-anchor": "end" }, bars[bars.length - 1].label);
  }
  return svg;
}
