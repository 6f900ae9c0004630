// Opens a page from disk in Chromium, as a reader would, and prints its observations as JSON.
const { chromium } = require("playwright-core");
const axe = require("axe-core");

const NO_BACKGROUND_REQUESTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

async function accessibilityViolations(page) {
  // The page's content security policy blocks added scripts: axe is injected through the browser's debugger instead.
  await page.evaluate(axe.source);
  const result = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return result.violations.map(({ id, impact, nodes }) => ({ id, impact, where: nodes.map((node) => node.html.slice(0, 200)) }));
}

// How many pixels of the page are beyond its right edge.
async function overflow(page) {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

// Boxes that scroll up and down inside the page, and tables that are cut where nobody can scroll.
async function badBoxes(page) {
  return page.evaluate(() => [...document.querySelectorAll("main *")].filter((element) => {
    const style = getComputedStyle(element);
    const scrollsDown = ["auto", "scroll"].includes(style.overflowY) && element.scrollHeight > element.clientHeight + 1;
    const isCut = element.matches(".table") && element.scrollWidth > element.clientWidth && style.overflowX !== "auto";
    return scrollsDown || isCut;
  }).map((element) => element.outerHTML.slice(0, 100)));
}

// After scrolling each wide table to its end: whether its first column is still visible, and whether an edge shows more.
async function wideTables(page) {
  return page.evaluate(() => [...document.querySelectorAll(".table")].filter((box) => box.scrollWidth > box.clientWidth).map((box) => {
    box.scrollLeft = box.scrollWidth;
    const key = box.querySelector("tbody td:first-child").getBoundingClientRect();
    const hasEdge = getComputedStyle(box).backgroundAttachment.includes("local");
    return { label: box.getAttribute("aria-label"), sticky: Math.abs(key.left - box.getBoundingClientRect().left) < 2, hasEdge };
  }));
}

const shown = (page) => page.locator(".explorer .cards strong").allInnerTexts();

// Chooses a group and a period as a reader would, and returns the figures and the number of bars.
async function explore(page, group, from, to) {
  const selects = page.locator(".explorer select");
  for (const [index, label] of [[0, group], [1, from], [2, to]]) {
    if (label) { await selects.nth(index).selectOption({ label }); }
  }
  return { figures: await shown(page), bars: await page.locator(".explorer rect").count() };
}

async function expandAll(page) {
  const collapsed = page.locator("details:not([open]) > summary");
  while (await collapsed.count()) { await collapsed.first().click(); }
}

async function main(path, executable, group, from, to) {
  const browser = await chromium.launch({ executablePath: executable, args: NO_BACKGROUND_REQUESTS });
  const seen = { console: [], requests: [], audits: {}, overflows: {}, backgrounds: {}, badBoxes: {}, wideTables: {} };
  const viewports = { light: ["light", 1280], dark: ["dark", 1280], phone: ["light", 380], "dark phone": ["dark", 380] };
  for (const [name, [colorScheme, width]] of Object.entries(viewports)) {
    const context = await browser.newContext({ colorScheme, viewport: { width, height: 800 } });
    const page = await context.newPage();
    page.on("console", (message) => seen.console.push(message.text()));
    page.on("pageerror", (error) => seen.console.push(String(error)));
    page.on("request", (request) => seen.requests.push(request.url()));
    await page.goto(`file://${path}`);
    seen.overflows[name] = await overflow(page);
    await expandAll(page);
    seen.overflows[`${name}, expanded`] = await overflow(page);
    seen.audits[name] = await accessibilityViolations(page);
    seen.backgrounds[name] = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    seen.badBoxes[name] = await badBoxes(page);
    seen.wideTables[name] = await wideTables(page);
    await context.close();
  }
  const page = await browser.newPage();
  await page.goto(`file://${path}`);
  seen.collapsed = await page.locator("details:not([open])").count();
  await page.locator("details:not([open]) > summary").first().focus();
  await page.keyboard.press("Enter");
  seen.stillCollapsed = await page.locator("details:not([open])").count();
  await expandAll(page);
  // Sort by the column with the most distinct numbers: a wrong order is most likely to show there.
  const [tableIndex, columnIndex] = await page.evaluate(() => [...document.querySelectorAll("table")].flatMap((table, tableIndex) =>
    [...table.tHead.rows[0].cells].map((_, index) =>
      [tableIndex, index, new Set([...table.tBodies[0].rows].map((row) => row.cells[index].dataset.value)).size]))
    .sort((a, b) => b[2] - a[2])[0]);
  const table = page.locator("table").nth(tableIndex);
  const values = () => table.locator(`tbody tr td:nth-child(${columnIndex + 1})`).evaluateAll(
    (cells) => cells.map((cell) => cell.dataset.value ?? null));
  const button = table.locator("th").nth(columnIndex).locator("button");
  await button.focus();
  await page.keyboard.press("Enter");
  seen.descending = await values();
  await button.click();
  seen.ascending = await values();
  seen.sort = await table.locator("th").nth(columnIndex).getAttribute("aria-sort");
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.locator(".copy").first().click();
  seen.copied = await page.evaluate(() => navigator.clipboard.readText());
  seen.firstTable = await page.locator("table").first().locator("tr").count();
  seen.injected = await page.evaluate(() => window.injected ?? null);
  seen.charts = await page.locator("figure svg").count();
  seen.seriesColor = await page.locator("figure svg path[fill='var(--series-1)']").first().evaluate((path) => getComputedStyle(path).fill);
  seen.text = await page.locator("body").innerText();
  await page.locator("details.reference").last().evaluate((details) => { details.open = false; });
  await page.locator("nav a").filter({ hasText: "Provenance" }).click();
  seen.openedByLink = await page.locator("#provenance details[open]").count();
  seen.deadLinks = await page.evaluate(() => [...document.querySelectorAll("a")].map((link) => link.getAttribute("href"))
    .filter((target) => !target.startsWith("#") || !document.getElementById(target.slice(1))));
  if (await page.locator(".explorer").count()) {
    seen.all = await explore(page);
    seen.chosen = await explore(page, group, from, to);
  }
  await page.emulateMedia({ media: "print", colorScheme: "dark" });
  seen.printedButtons = await page.locator(".copy:visible, select:visible").count();
  seen.backgrounds.print = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const fresh = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
  await fresh.goto(`file://${path}`);
  const visible = (selector) => fresh.locator(selector).locator("visible=true").count();
  seen.withoutScript = { controls: await visible(".needs-script"), tables: await visible("table"), charts: await visible("figure svg") };
  const pdf = await fresh.pdf({ preferCSSPageSize: true });
  seen.printedPages = (pdf.toString("latin1").match(/\/Type \/Page\b(?!s)/g) || []).length;
  console.log(JSON.stringify(seen));
  await browser.close();
}

main(...process.argv.slice(2)).catch((error) => { console.error(error); process.exit(1); });
