import { setTimeout as delay } from 'node:timers/promises';
import { VestibuleError } from './index.js';

// The sign-in pages as a test's user sees them, in any browser driver with Playwright's Page.

const TIMEOUT_MS = 30_000;
const LOOK_EVERY_MS = 20;

const ADDRESS = 'input[name=email]:not([type=hidden])';
const CODE = 'input[name=code]';
// One selector, so that no page that loads meanwhile is seen in part: the code page can be asked for another email, too.
const RESEND = `main:not(:has(${CODE})):not(:has(${ADDRESS})) form[action$="/resend"]`;

/** Signs in on the sign-in page that `page` shows or is on its way to; returns when the application has taken over. */
export async function signInOnPages(vestibule, page, email, { organization, timeoutMs = TIMEOUT_MS } = {}) {
  const deadline = performance.now() + timeoutMs;
  const address = page.locator(ADDRESS);
  const code = page.locator(CODE);
  const resend = page.locator(RESEND);
  const button = (text) => page.locator('main button[name=organization_id]').filter({ hasText: text }).first();
  const left = () => !/\/login\/[^/]+/.test(new URL(page.url()).pathname);

  /** Looks until one of these is true, and tells which. */
  const until = async (states) => {
    for (;;) {
      for (const [name, isSo] of Object.entries(states)) if (await isSo()) return name;
      if (performance.now() > deadline) throw await stuck(vestibule, page, email, timeoutMs);
      await delay(LOOK_EVERY_MS);
    }
  };
  const mailed = { code: () => code.isVisible(), link: () => resend.isVisible() };
  const chooses = async () => organization !== undefined && (await button(organization).isVisible());

  const inbox = await vestibule.inbox(email);
  const first = await until({ address: () => address.isVisible(), ...mailed });
  let state = first;
  if (first === 'address') {
    await address.fill(email);
    // As the account picker does: at once, where the application allows instant sign-in. An account that is picked enters
    // its oldest organization, without a choice.
    if (organization === undefined) {
      await address.evaluate((input) => {
        const picked = document.createElement('input');
        picked.type = 'hidden';
        picked.name = 'picked';
        picked.value = 'true';
        input.form.append(picked);
      });
    }
    await address.press('Enter');
    state = await until({ left, chooses, ...mailed });
  }
  if (state === 'code' || state === 'link') {
    // With a hint the email may have come before the inbox was opened.
    const options = { timeoutMs: Math.max(0, deadline - performance.now()) };
    if (state === 'code') {
      await code.fill(
        first === 'address' ? await inbox.nextCode(options) : await vestibule.waitForCode(email, options),
      );
      await code.press('Enter');
    } else {
      await page.goto(
        first === 'address' ? await inbox.nextLink(options) : await vestibule.waitForLink(email, options),
      );
    }
    state = await until({ left, chooses });
  }
  if (state === 'chooses') {
    await button(organization).click();
    await until({ left });
  }
}

/** What the page shows, and what happened. */
async function stuck(vestibule, page, email, timeoutMs) {
  const shown = (
    await page
      .locator('main')
      .innerText()
      .catch(() => '')
  )
    .replaceAll(/\s*\n\s*/g, ' · ')
    .slice(0, 300);
  const [flow] = await vestibule.flows(email).catch(() => []);
  const steps = flow === undefined ? [] : (await vestibule.call('GET', `/flows/${flow.id}`)).steps;
  return new VestibuleError({
    title: 'Not signed in',
    detail: `${email} did not leave the sign-in pages within ${timeoutMs} ms; ${page.url()} shows: ${shown}`,
    timeline: steps.map(({ at, name, verdict, text }) => `${at} ${name} ${verdict}: ${text}`),
  });
}
