"use strict";
// Sorts tables by a column and copies them as tab-separated text. The page is complete without it.
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
