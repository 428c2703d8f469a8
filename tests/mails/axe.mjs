// Stdin: [{mail, page}]; stdout: what axe finds in each scheme and width, which pages scroll sideways, and which need
// more than one sheet of paper.
import axe from 'axe-core';
import { launch, open, stdin } from './browser.mjs';

const findings = [];
const mails = await stdin();
const browser = await launch();

async function show(page, file, width) {
  await page.setViewportSize({ width, height: 800 });
  await page.goto(`file://${file}`);
}

for (const scheme of ['light', 'dark']) {
  const page = await open(browser, scheme);
  for (const { mail, page: file } of mails) {
    for (const width of [375, 800]) {
      await show(page, file, width);
      await page.evaluate(axe.source);
      const { violations } = await page.evaluate(() => window.axe.run({ resultTypes: ['violations'] }));
      for (const { id, help, nodes } of violations) {
        const [{ target, any }] = nodes;
        const why = any[0]?.message ?? help;
        findings.push({ mail, checker: 'axe', rule: id, what: `${scheme}, ${width} px: ${why} ${target} (${nodes.length} in all)` });
      }
    }
  }
}

const page = await open(browser, 'light');
for (const { mail, page: file } of mails) {
  for (const width of [320, 375, 600, 800]) {
    await show(page, file, width);
    const widest = await page.evaluate(() => {
      const width = Math.max(document.documentElement.scrollWidth, document.body.scrollWidth);
      if (width <= window.innerWidth) return null;
      const out = [...document.body.querySelectorAll('*')].filter((each) => {
        const { left, right } = each.getBoundingClientRect();
        return right > window.innerWidth || left < 0;
      });
      const last = out.at(-1);
      return `${width} px wide: <${last?.localName} class="${last?.className}"> ${last?.textContent.trim().slice(0, 40)}`;
    });
    if (widest) findings.push({ mail, checker: 'scroll', rule: `${width}px`, what: widest });
  }
  const sheets = (await page.pdf({ format: 'A4' })).toString('latin1').match(/\/Type\s*\/Page\b/g).length;
  if (sheets > 1) findings.push({ mail, checker: 'print', rule: 'sheets', what: `${sheets} of A4` });
}
await browser.close();
process.stdout.write(JSON.stringify(findings));
