// Debian's Chromium; nothing is downloaded.
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const output = fileURLToPath(new URL('../output/screenshots/', import.meta.url));

export async function startBrowser(more = []) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', ...more],
  });
}

/** A fresh profile that notes everything a careful page must not do. */
export async function freshPage(browser, options = {}) {
  const context = await browser.newContext(options);
  const faults = [];
  context.on('page', (page) => {
    page.on('console', (message) => { if (message.type() === 'error' && !/status of 4\d\d/.test(message.text())) faults.push(message.text()); });
    page.on('pageerror', (error) => faults.push(String(error)));
    page.on('request', (request) => {
      const { protocol, hostname } = new URL(request.url());
      if (protocol.startsWith('http') && hostname !== 'localhost') faults.push(`third party: ${request.url()}`);
    });
  });
  return { context, page: await context.newPage(), faults };
}

/** Pictures of a page as a phone and a desktop show it, light and dark: kept as CI output. */
export async function takePictures(page, name) {
  mkdirSync(output, { recursive: true });
  const before = page.viewportSize();
  for (const [device, size] of [['phone', { width: 390, height: 844 }], ['desktop', { width: 1280, height: 800 }]]) {
    await page.setViewportSize(size);
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.screenshot({ path: `${output}${name}-${device}-${colorScheme}.png` });
    }
  }
  if (before) await page.setViewportSize(before);
  await page.emulateMedia({ colorScheme: null });
}
