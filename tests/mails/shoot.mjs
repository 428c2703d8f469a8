// Stdin: [{page, out, width, scheme, images}]; each becomes a PNG of the whole page.
import { launch, open, stdin } from './browser.mjs';

const jobs = await stdin();
const browser = await launch();
const pages = new Map();
for (const job of jobs) {
  const key = `${job.scheme} ${job.images}`;
  if (!pages.has(key)) pages.set(key, await open(browser, job));
  const page = pages.get(key);
  await page.setViewportSize({ width: job.width, height: 200 });
  await page.goto(`file://${job.page}`);
  await page.screenshot({ path: job.out, fullPage: true });
}
await browser.close();
