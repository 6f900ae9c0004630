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

async function expandAll(page) {
  const collapsed = page.locator("details:not([open]) > summary");
  while (await collapsed.count()) { await collapsed.first().click(); }
}

async function main(path, executable) {
  const browser = await chromium.launch({ executablePath: executable, args: NO_BACKGROUND_REQUESTS });
  const seen = { console: [], requests: [], audits: {}, overflows: {}, backgrounds: {} };
  const viewports = { light: ["light", 1000], dark: ["dark", 1000], phone: ["light", 380], "dark phone": ["dark", 380] };
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
  await page.locator("details[open] .copy").first().click();
  seen.copied = await page.evaluate(() => navigator.clipboard.readText());
  seen.firstTable = await page.locator("details[open] table").first().locator("tr").count();
  seen.injected = await page.evaluate(() => window.injected ?? null);
  seen.charts = await page.locator("figure svg").count();
  seen.seriesColor = await page.locator("figure svg path[fill='var(--series-1)']").first().evaluate((path) => getComputedStyle(path).fill);
  seen.text = await page.locator("body").innerText();
  await page.emulateMedia({ media: "print" });
  seen.printedButtons = await page.locator(".copy:visible").count();
  console.log(JSON.stringify(seen));
  await browser.close();
}

main(process.argv[2], process.argv[3]).catch((error) => { console.error(error); process.exit(1); });
