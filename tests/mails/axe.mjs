// Stdin: [{mail, page}]; stdout: what axe finds in each scheme and width, which pages scroll sideways, and which need
// more than one sheet of paper.
import axe from 'axe-core';
import { launch, open, stdin } from './browser.mjs';

const SCROLL = [320, 375, 600, 800];
const AXE = [375, 800];
// What may differ between schemes and widths. All other rules are asked once for each mail.
const BY_VIEW = ['color-contrast', 'link-in-text-block', 'scrollable-region-focusable', 'target-size'];
const PAPER = { top: '10mm', right: '10mm', bottom: '10mm', left: '10mm' };

// The text in the element that sticks out, where the page is wider than the window.
function widest() {
  const { innerWidth, document } = window;
  const width = Math.max(document.documentElement.scrollWidth, document.body.scrollWidth);
  if (width <= innerWidth) return null;
  const out = [...document.body.querySelectorAll('*')].filter((each) => {
    const { left, right } = each.getBoundingClientRect();
    return right > innerWidth || left < 0;
  });
  const last = out.at(-1);
  return `${width} px wide: <${last?.localName} class="${last?.className}"> ${last?.textContent.trim().slice(0, 40)}`;
}

async function look(page, scheme, width) {
  const found = [];
  await page.setViewportSize({ width, height: 800 });
  const wide = await page.evaluate(widest);
  if (wide) found.push(['scroll', `${width}px`, `${scheme}: ${wide}`]);
  if (!AXE.includes(width)) return found;
  const all = scheme === 'light' && width === AXE[0];
  const asked = { resultTypes: ['violations'], ...(all ? {} : { runOnly: { type: 'rule', values: BY_VIEW } }) };
  const { violations } = await page.evaluate((options) => window.axe.run(options), asked);
  for (const { id, help, nodes } of violations) {
    const [{ target, any }] = nodes;
    found.push(['axe', id, `${scheme}, ${width} px: ${any[0]?.message ?? help} ${target} (${nodes.length} in all)`]);
  }
  return found;
}

async function print(page) {
  const sheets = (await page.pdf({ format: 'A4', margin: PAPER })).toString('latin1').match(/\/Type\s*\/Page\b/g).length;
  return sheets > 1 ? [['print', 'sheets', `${sheets} of A4`]] : [];
}

const findings = [];
const mails = await stdin();
const browser = await launch();
const page = await open(browser, 'light');
for (const { mail, page: file } of mails) {
  await page.emulateMedia({ colorScheme: 'light' });
  await page.goto(`file://${file}`);
  const found = await print(page);
  // Once for both schemes: to read its half a megabyte takes longer than to ask it.
  await page.evaluate(axe.source);
  for (const scheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: scheme });
    for (const width of SCROLL) found.push(...(await look(page, scheme, width)));
  }
  for (const [checker, rule, what] of found) findings.push({ mail, checker, rule, what });
}
await browser.close();
process.stdout.write(JSON.stringify(findings));
