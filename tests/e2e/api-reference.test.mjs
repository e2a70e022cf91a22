// The API reference of the dashboard: found by navigation and search, readable for everybody, with examples that run.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import AxeBuilder from '@axe-core/playwright';
import { freshPage, startBrowser, takePictures } from './support/browser.mjs';
import { startVestibule } from './support/server.mjs';

let browser;
let vestibule;

before(async () => {
  vestibule = await startVestibule();
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await vestibule?.stop();
});

const shell = (script) => execFileSync('sh', ['-c', script], { encoding: 'utf8' });

test('a search leads to an operation, whose example runs', async () => {
  const { context, page, faults } = await freshPage(browser);
  await page.goto(`${vestibule.url}/dashboard`);
  await page.getByRole('link', { name: 'API reference' }).click();
  await page.getByLabel('Find an operation').fill('create fault');
  await page.getByRole('button', { name: 'Search' }).click();
  await page.getByRole('main').getByRole('link', { name: 'POST /_emulator/v1/faults' }).click();
  assert.equal(new URL(page.url()).hash, '#faults_create');
  const request = await page.getByLabel('Request of faults_create', { exact: true }).textContent();
  assert.match(JSON.parse(shell(`${request.replace('curl', 'curl -s')}`)).id, /^flt_/);
  // The fault would meet the other tests.
  assert.equal((await fetch(`${vestibule.url}/_emulator/v1/faults`, { method: 'DELETE' })).status, 200);
  assert.deepEqual(faults, []);
  await context.close();
});

test('an example of the REST API runs with the token that its page gets', async () => {
  const { context, page, faults } = await freshPage(browser);
  await page.goto(`${vestibule.url}/dashboard/api/rest/OrganizationService`);
  const token = await page.getByLabel('Get an access token', { exact: true }).textContent();
  const request = await page.getByLabel('Request of OrganizationService_CreateOrganization', { exact: true }).textContent();
  const created = JSON.parse(shell(`${token}\n${request.replace('curl', 'curl -s')}`));
  assert.match(created.organization?.id ?? JSON.stringify(created), /^org_/);
  assert.deepEqual(faults, []);
  await context.close();
});

test('a link to an object unfolds it', async () => {
  const { context, page } = await freshPage(browser);
  await page.goto(`${vestibule.url}/dashboard/api/control/faults`);
  await page.locator('#faults_list').getByRole('link', { name: 'FaultList' }).click();
  await page.locator('[id="object-FaultList"]').waitFor({ state: 'visible' });
  await context.close();
});

for (const [name, path] of [
  ['api', '/dashboard/api'],
  ['api-found', '/dashboard/api?q=invite'],
  ['api-users', '/dashboard/api/rest/UserService'],
  ['api-faults', '/dashboard/api/control/faults'],
]) {
  test(`${name} is accessible on phones and desktops, light and dark`, async () => {
    const { context, page, faults } = await freshPage(browser);
    await page.goto(`${vestibule.url}${path}`);
    await page.evaluate(() => document.querySelectorAll('main details').forEach((one) => { one.open = true; }));
    for (const width of [390, 1280]) {
      await page.setViewportSize({ width, height: 844 });
      for (const colorScheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme });
        const { violations } = await new AxeBuilder({ page }).analyze();
        assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`), [], `${width} ${colorScheme}`);
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), `${width}: no sideways scrolling`);
      }
    }
    await takePictures(page, name);
    assert.deepEqual(faults, []);
    await context.close();
  });
}
