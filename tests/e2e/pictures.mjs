// Makes the pictures of the README: `node tests/e2e/pictures.mjs`. Needs Chromium and ImageMagick's `convert`.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startBrowser } from './support/browser.mjs';
import { startVestibule } from './support/server.mjs';

const images = fileURLToPath(new URL('../../docs/images/', import.meta.url));
const size = { width: 1040, height: 650 };
/** How long a frame of the walk-through is seen, in hundredths of a second. */
const FRAME_CS = 220;

const vestibule = await startVestibule(`[[users]]
email = "ada@example.com"
name = "Ada Lovelace"
[[users]]
email = "grace@example.com"
`);
const browser = await startBrowser();
const folder = mkdtempSync(join(tmpdir(), 'vestibule-pictures-'));
const context = await browser.newContext({ viewport: size, reducedMotion: 'reduce' });
const page = await context.newPage();

const frames = [];
const picture = async (name) => {
  const path = join(folder, `${name}.png`);
  await page.screenshot({ path });
  frames.push(path);
  return path;
};

await page.goto(`${vestibule.url}/dashboard`);
await picture('home');
await page.goto(`${vestibule.url}/dashboard/try`);
await picture('try');
await page.getByRole('button', { name: 'Sign in', exact: true }).click();
await page.getByLabel('Email address').fill('ada@example.com');
const address = await picture('address');
await page.getByRole('button', { name: 'Continue', exact: true }).click();
await page.getByText('Fill in', { exact: true }).click();
const code = await picture('code');
const inbox = await context.newPage();
await inbox.goto(`${vestibule.url}/_emulator/inbox`);
await inbox.locator('main a[href*="message="], .letters a').first().click();
const inboxPicture = join(folder, 'inbox.png');
await inbox.waitForLoadState('networkidle');
await inbox.screenshot({ path: inboxPicture });
frames.push(inboxPicture);
await page.getByRole('button', { name: 'Continue', exact: true }).click();
await page.waitForURL(/\/dashboard\/try/);
await picture('tokens');
await page.goto(`${vestibule.url}/dashboard/flows`);
await page.locator('main table a').first().click();
await page.waitForLoadState('networkidle');
await picture('timeline');

// Three pages side by side.
const image = (path) => `<img src="data:image/png;base64,${readFileSync(path).toString('base64')}">`;
const sheet = await browser.newPage({ viewport: { width: 1560, height: 380 } });
await sheet.setContent(`<style>body { margin: 0; padding: 20px; display: flex; gap: 20px; background: #ececf1; }
  img { width: 493px; border-radius: 8px; box-shadow: 0 1px 6px #0003; }</style>${[address, code, inboxPicture].map(image).join('')}`);
await sheet.screenshot({ path: join(images, 'pages.png') });

execFileSync(process.env.CONVERT ?? 'convert', ['-delay', `${FRAME_CS}`, '-loop', '0', ...frames, '-colors', '64', '-layers', 'optimize', join(images, 'walk-through.gif')]);
await browser.close();
rmSync(folder, { recursive: true });
await vestibule.stop();
