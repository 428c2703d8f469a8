// Debian's chromium as a mail client's window: it opens files, and reaches no network.
import { chromium } from 'playwright-core';

export async function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--hide-scrollbars', '--disable-sync'],
  });
}

export async function open(browser, scheme) {
  const context = await browser.newContext({ colorScheme: scheme, offline: true });
  return context.newPage();
}

export async function stdin() {
  let text = '';
  for await (const chunk of process.stdin) text += chunk;
  return JSON.parse(text);
}
