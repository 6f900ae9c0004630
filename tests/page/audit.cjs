// Opens a page from disk in a real Chromium, as a reader does, and prints what it saw as JSON.
const { chromium } = require("playwright-core");
const axe = require("axe-core");

const QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

async function audited(page) {
  // The page's own policy forbids scripts that are not its own: axe enters through the browser, not through the page.
  await page.evaluate(axe.source);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return found.violations.map((one) => ({ id: one.id, impact: one.impact, where: one.nodes.map((node) => node.html.slice(0, 200)) }));
}

async function overflow(page) {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

async function main(path, executable) {
  const browser = await chromium.launch({ executablePath: executable, args: QUIET });
  const seen = { console: [], requests: [], audits: {}, overflows: {}, papers: {} };
  const looks = { light: ["light", 1000], dark: ["dark", 1000], phone: ["light", 380], "dark phone": ["dark", 380] };
  for (const [name, [colorScheme, width]] of Object.entries(looks)) {
    const context = await browser.newContext({ colorScheme, viewport: { width, height: 800 } });
    const page = await context.newPage();
    page.on("console", (message) => seen.console.push(message.text()));
    page.on("pageerror", (error) => seen.console.push(String(error)));
    page.on("request", (request) => seen.requests.push(request.url()));
    await page.goto(`file://${path}`);
    seen.overflows[name] = await overflow(page);
    const folds = page.locator("details:not([open]) > summary");
    while (await folds.count()) { await folds.first().click(); }
    seen.overflows[`${name}, unfolded`] = await overflow(page);
    seen.audits[name] = await audited(page);
    seen.papers[name] = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await context.close();
  }
  const page = await browser.newPage();
  await page.goto(`file://${path}`);
  seen.folded = await page.locator("details:not([open])").count();
  await page.locator("details:not([open]) > summary").first().focus();
  await page.keyboard.press("Enter");
  seen.stillFolded = await page.locator("details:not([open])").count();
  const folds = page.locator("details:not([open]) > summary");
  while (await folds.count()) { await folds.first().click(); }
  // The column with the most different numbers shows most of how it is sorted.
  const [number, place] = await page.evaluate(() => [...document.querySelectorAll("table")].flatMap((table, number) =>
    [...table.tHead.rows[0].cells].map((_, place) =>
      [number, place, new Set([...table.tBodies[0].rows].map((row) => row.cells[place].dataset.value)).size]))
    .sort((a, b) => b[2] - a[2])[0]);
  const table = page.locator("table").nth(number);
  const values = () => table.locator(`tbody tr td:nth-child(${place + 1})`).evaluateAll(
    (cells) => cells.map((cell) => cell.dataset.value ?? null));
  const button = table.locator("th").nth(place).locator("button");
  await button.focus();
  await page.keyboard.press("Enter");
  seen.descending = await values();
  await button.click();
  seen.ascending = await values();
  seen.sort = await table.locator("th").nth(place).getAttribute("aria-sort");
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.locator("details[open] .copy").first().click();
  seen.copied = await page.evaluate(() => navigator.clipboard.readText());
  seen.firstTable = await page.locator("details[open] table").first().locator("tr").count();
  seen.injected = await page.evaluate(() => window.injected ?? null);
  seen.drawings = await page.locator("figure svg").count();
  seen.ink = await page.locator("figure svg path[fill='var(--first)']").first().evaluate((one) => getComputedStyle(one).fill);
  seen.text = await page.locator("body").innerText();
  await page.emulateMedia({ media: "print" });
  seen.printedButtons = await page.locator(".copy:visible").count();
  console.log(JSON.stringify(seen));
  await browser.close();
}

main(process.argv[2], process.argv[3]).catch((error) => { console.error(error); process.exit(1); });
