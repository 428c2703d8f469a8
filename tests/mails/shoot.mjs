// Stdin: [{page, out, width, scheme}]; each becomes a PNG of the whole page.
import { launch, open, stdin } from './browser.mjs';

const jobs = await stdin();
const browser = await launch();
const pages = new Map();
for (const job of jobs) {
  if (!pages.has(job.scheme)) pages.set(job.scheme, await open(browser, job.scheme));
  const page = pages.get(job.scheme);
  await page.setViewportSize({ width: job.width, height: 200 });
  await page.goto(`file://${job.page}`);
  await page.screenshot({ path: job.out, fullPage: true });
}
await browser.close();
