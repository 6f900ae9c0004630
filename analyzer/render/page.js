"use strict";
// Sorts a table by a column, and copies one as tab-separated text. A page without it is still whole.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  const key = (row, place) => {
    const cell = row.cells[place];
    return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent;
  };
  // What has no number stands last, whichever way the others are sorted.
  const compare = (a, b, sign) =>
    typeof a !== typeof b ? (typeof a === "number" ? -1 : 1)
      : sign * (typeof a === "number" ? a - b : a.localeCompare(b));
  headings.forEach((heading, place) => heading.firstElementChild.addEventListener("click", () => {
    const sign = heading.getAttribute("aria-sort") === "descending" ? 1 : -1;
    headings.forEach((one) => one.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const rows = [...body.rows].map((row) => [key(row, place), row]);
    rows.sort(([a], [b]) => compare(a, b, sign));
    body.append(...rows.map(([, row]) => row));
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
      button.textContent = "Copying is not allowed here: select the table";
    }
  });
}
