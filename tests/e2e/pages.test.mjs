// Every page: readable for everybody (axe finds no violation), and pictured.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import AxeBuilder from '@axe-core/playwright';
import { freshPage, startBrowser, takePictures } from './support/browser.mjs';
import { startApplication, startVestibule } from './support/server.mjs';

let browser;
let application;
let vestibule;
let linkOnly;

before(async () => {
  vestibule = await startVestibule('[branding]\nname = "Acme"\nsupport_email = "help@acme.example"\n[limits]\nmails_per_address = 0\n');
  linkOnly = await startVestibule('[passwordless]\ntype = "LINK"\nenforce_same_browser_origin = false\n');
  application = await startApplication();
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await application?.stop();
  await Promise.all([vestibule?.stop(), linkOnly?.stop()]);
});

const authorize = (more) => vestibule.authorizeUrl(application.callback, more);
const press = (page) => page.getByRole('button', { name: 'Continue', exact: true }).click();

async function guess(page, times) {
  for (let i = 0; i < times; i++) {
    await page.locator('input[name="code"]').fill('000000');
    await press(page);
  }
}

async function signIn(page, address) {
  await page.goto(authorize({ login_hint: address }));
  await page.locator('input[name="code"]').fill((await vestibule.mailTo(address)).code);
  await press(page);
  await page.waitForURL(`${application.callback}**`);
}

/** Enters the code of a sign-in that was started from "Try it", where one is asked for. */
async function proveTrial(page, address) {
  await page.waitForURL(/\/login\/|\/try\/result/);
  if (page.url().includes('/try/result')) return;
  await page.locator('input[name="code"]').fill((await vestibule.mailTo(address)).code);
  await press(page);
}

const pages = {
  'sign-in': (page) => page.goto(authorize()),
  'sign-in-error': async (page) => {
    await page.goto(authorize());
    await page.locator('input[name="email"]').fill('jane@');
    await press(page);
  },
  'sign-up': (page) => page.goto(authorize({ prompt: 'create' })),
  'enter-code': async (page) => {
    await page.goto(authorize({ login_hint: 'code@example.com' }));
    await page.locator('input[name="code"]').fill('1234');
  },
  'enter-code-error': async (page) => {
    await page.goto(authorize({ login_hint: 'error@example.com' }));
    await guess(page, 1);
  },
  'check-mail': (page) => page.goto(linkOnly.authorizeUrl(application.callback, { login_hint: 'link@example.com' })),
  'link-landing': async (page) => {
    await fetch(linkOnly.authorizeUrl(application.callback, { login_hint: 'land@example.com' }), { redirect: 'manual' });
    await page.goto((await linkOnly.mailTo('land@example.com')).link);
  },
  'wrong-browser': async (page) => {
    await fetch(authorize({ login_hint: 'wrong@example.com' }), { redirect: 'manual' });
    await page.goto((await vestibule.mailTo('wrong@example.com')).link);
  },
  'too-many-attempts': async (page) => {
    await page.goto(authorize({ login_hint: 'many@example.com' }));
    await guess(page, 5);
  },
  expired: (page) => page.goto(`${vestibule.url}/login/link?link_token=gone`),
  'choose-account': async (page) => {
    await signIn(page, 'choose@example.com');
    await page.goto(authorize({ prompt: 'select_account' }));
  },
  done: async (page) => {
    await page.goto(authorize({ login_hint: 'done@example.com' }));
    const address = page.url();
    await page.locator('input[name="code"]').fill((await vestibule.mailTo('done@example.com')).code);
    await press(page);
    await page.waitForURL(`${application.callback}**`);
    await page.goto(address);
  },
  'sign-out': async (page) => {
    await signIn(page, 'out@example.com');
    const user = { user: 'out@example.com' };
    const minted = await fetch(`${vestibule.url}/_emulator/v1/tokens`, {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(user),
    });
    // An ID token of another session always asks.
    await page.goto(`${vestibule.url}/oidc/logout?id_token_hint=${(await minted.json()).id_token}`);
  },
  'signed-out': (page) => page.goto(`${vestibule.url}/oidc/logout`),
  error: (page) => page.goto(authorize({ redirect_uri: 'https://app.example.com/callback' })),
  'not-emulated': (page) => page.goto(`${vestibule.url}/saml/login`),
  'inbox-empty': (page) => page.goto(`${vestibule.url}/_emulator/inbox?to=nobody@example.com`),
  inbox: async (page) => {
    await fetch(authorize({ login_hint: 'jane@example.com' }), { redirect: 'manual' });
    await fetch(authorize({ login_hint: 'john+sktest@example.com' }), { redirect: 'manual' });
    await page.goto(`${vestibule.url}/_emulator/inbox`);
  },
  'inbox-message': async (page) => {
    await fetch(authorize({ login_hint: 'mail@example.com' }), { redirect: 'manual' });
    await page.goto(`${vestibule.url}/_emulator/inbox/${(await vestibule.mailTo('mail@example.com')).id}`);
  },
};

// The dashboard, with somebody and something in it.
async function furnish() {
  const control = async (method, path, body) => {
    const response = await fetch(`${vestibule.url}/_emulator/v1${path}`, {
      method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
    });
    assert.ok(response.ok, `${method} ${path}: ${response.status}`);
    return response.status === 204 ? undefined : response.json();
  };
  await control('POST', '/faults', { match: { path: '/nowhere' }, count: 1, effect: { kind: 'status', status: 503 } });
  await control('POST', '/environments', {}).catch(() => {});
  await control('POST', '/webhooks', { url: 'http://127.0.0.1:9/webhooks', events: ['organization.created'], description: 'Nobody listens' });
  await control('POST', '/api/permissions', { name: 'read:documents', description: 'Read all documents' });
  const editor = { name: 'editor', display_name: 'Editor', extends: 'member', permissions: ['read:documents'] };
  await control('POST', '/api/roles', editor);
  const { organization } = await control('POST', '/api/organizations', {
    display_name: 'Megasoft', slug: 'megasoft', external_id: 'mega-1', metadata: { plan: 'pro' },
  });
  const path = `/api/organizations/${organization.id}`;
  await control('POST', `${path}/roles`, { name: 'auditor', display_name: 'Auditor' });
  await control('POST', `${path}/domains`, { domain: 'megasoft.com' });
  await control('POST', `${path}/clients`, { name: 'Robot', scopes: ['read', 'write'], audience: ['my-api'] });
  await control('POST', '/api/tokens', { organization_id: organization.id, description: 'For CI' });
  for (const email of ['desk-invited@megasoft.com', 'desk-member@megasoft.com']) {
    const membership = { roles: [{ name: 'editor' }], inviter_email: 'boss@megasoft.com' };
    const query = `send_invitation_email=${email.includes('invited')}`;
    await control('POST', `${path}/users?${query}`, { email, membership });
  }
  await fetch(`${vestibule.url}/api/v1/organizations/org_1/directories`);
  const { context, page } = await freshPage(browser);
  await signIn(page, 'desk@example.com');
  await context.close();
  return control;
}
let furnished;
const desk = (path, act) => async (page) => {
  const control = await (furnished ??= furnish());
  await page.goto(`${vestibule.url}/dashboard${path}`);
  await act?.(page, control);
};
/** Opens the page of the organization, or one that belongs to it, and does something there. */
function openMegasoft(link, act) {
  return async (page) => {
    await page.getByRole('link', { name: 'Megasoft' }).click();
    if (link) await page.getByRole('main').getByRole('link', { name: link, exact: true }).click();
    await act?.(page);
  };
}
Object.assign(pages, {
  'desk-home': desk('', (page) => page.getByText('Node', { exact: true }).click()),
  'desk-methods': desk('/methods'),
  'desk-methods-error': desk('/methods', async (page) => {
    await page.getByLabel('Expiry period, in seconds').fill('5');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('must be a whole number from 60 to 3600').waitFor();
  }),
  'desk-applications': desk('/applications?url=https://app.example.com/callback'),
  'desk-application': desk('/applications', (page) => page.getByRole('link', { name: 'Acme', exact: true }).first().click()),
  'desk-users': desk('/users'),
  'desk-user': desk('/users', async (page) => {
    await page.getByRole('link', { name: 'desk@example.com' }).click();
    await page.locator('summary', { hasText: 'Delete this user' }).click();
  }),
  'desk-user-member': desk('/users?q=desk-member', (page) => page.getByRole('link', { name: 'desk-member@megasoft.com' }).click()),
  'desk-user-error': desk('/users?q=desk-member', async (page) => {
    await page.getByRole('link', { name: 'desk-member@megasoft.com' }).click();
    await page.getByLabel('Organization', { exact: true }).fill('nowhere');
    await page.getByRole('button', { name: 'Add', exact: true }).click();
    await page.getByText('is neither ID nor external ID').waitFor();
  }),
  'desk-organizations': desk('/organizations'),
  'desk-organization': desk('/organizations', openMegasoft()),
  'desk-organization-error': desk('/organizations', openMegasoft(undefined, async (page) => {
    await page.getByLabel('Slug').fill('Not a slug');
    await page.getByLabel('Metadata').fill('plan=pro');
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await page.getByText('must be a JSON object of texts').waitFor();
  })),
  'desk-members': desk('/organizations', openMegasoft('Members')),
  'desk-member': desk('/organizations', openMegasoft('Members', async (page) => {
    await page.getByRole('link', { name: 'desk-member@megasoft.com' }).click();
    await page.locator('summary', { hasText: 'Remove from the organization' }).click();
  })),
  'desk-member-invited': desk('/organizations', openMegasoft('Members', async (page) => {
    await page.getByRole('link', { name: 'desk-invited@megasoft.com' }).click();
    await page.getByRole('button', { name: 'Resend the invitation' }).click();
    await page.getByText('Invitation sent again.').waitFor();
  })),
  'desk-organization-roles': desk('/organizations', openMegasoft('Roles')),
  'desk-organization-role': desk('/organizations', openMegasoft('Roles', (page) => page.getByRole('link', { name: 'auditor' }).click())),
  'desk-domains': desk('/organizations', openMegasoft('Domains')),
  'desk-clients': desk('/organizations', openMegasoft('M2M clients')),
  'desk-client': desk('/organizations', openMegasoft('M2M clients', (page) => page.getByRole('link', { name: 'Robot' }).click())),
  'desk-client-secret': desk('/organizations', openMegasoft('M2M clients', async (page) => {
    await page.getByRole('link', { name: 'New client' }).click();
    await page.getByLabel('Name').fill('Another');
    await page.getByRole('button', { name: 'Create' }).click();
    await page.getByRole('heading', { name: 'New secret' }).waitFor();
  })),
  'desk-api-tokens': desk('/organizations', openMegasoft('API tokens')),
  'desk-roles': desk('/roles'),
  'desk-role': desk('/roles', (page) => page.getByRole('link', { name: 'editor' }).click()),
  'desk-permissions': desk('/permissions'),
  'desk-permission': desk('/permissions', (page) => page.getByRole('link', { name: 'read:documents' }).click()),
  'desk-sessions': desk('/sessions'),
  'desk-session': desk('/sessions?q=desk@', (page) => page.getByRole('link', { name: 'desk@example.com' }).first().click()),
  'desk-webhooks': desk('/webhooks'),
  'desk-webhook': desk('/webhooks', async (page) => {
    await page.getByRole('link', { name: 'http://127.0.0.1:9/webhooks' }).click();
    await page.getByRole('heading', { name: 'Deliveries' }).waitFor();
  }),
  'desk-flows': desk('/flows'),
  'desk-flow': desk('/flows?email=desk@', async (page) => {
    await page.getByRole('link', { name: 'desk@example.com' }).first().click();
    await page.getByText('The code is right.').waitFor();
  }),
  'desk-requests': desk('/requests', (page) => page.getByText(/called .*ListDirectories once, which is not emulated/).waitFor()),
  'desk-request': desk('/requests?path=/oauth/authorize', async (page) => {
    await page.getByRole('link', { name: 'GET /oauth/authorize' }).first().click();
    await page.getByRole('button', { name: 'Copy curl' }).waitFor();
  }),
  'desk-tokens': desk('/tokens', async (page) => {
    await page.getByLabel('User').fill('desk@example.com');
    await page.getByRole('button', { name: 'Mint' }).click();
    const token = await page.getByLabel('Access token', { exact: true }).textContent();
    await page.getByLabel('Token', { exact: true }).fill(token);
    await page.getByRole('button', { name: 'Decode' }).click();
    await page.getByRole('heading', { name: 'Valid', exact: true }).waitFor();
  }),
  'desk-user-new': desk('/users/new'),
  'desk-organization-new': desk('/organizations/new'),
  'desk-role-new': desk('/new-role'),
  'desk-fault-new': desk('/faults/new', (page) => page.getByText('Copy as curl').click()),
  'desk-webhook-new': desk('/webhooks/new'),
  'desk-application-new': desk('/applications/new'),
  'desk-settings': desk('/settings'),
  'desk-menu': desk('/users', async (page) => {
    await page.setViewportSize({ width: 390, height: 800 });
    await page.getByRole('link', { name: 'Menu' }).click();
    await page.getByRole('link', { name: 'Close menu' }).waitFor();
  }),
  'desk-status': desk('/users', async (page, control) => {
    await control('PUT', '/clock', { advance_s: 300 });
    await page.reload();
    await page.getByRole('link', { name: 'Clock 5 min ahead' }).waitFor();
    await page.getByRole('button', { name: 'Use real time' }).click();
    await page.getByText('The clock shows real time again.').waitFor();
  }),
  'desk-try': desk('/try'),
  'desk-try-result': desk('/try', async (page) => {
    await page.getByRole('button', { name: 'Sign in as ada@example.com' }).click();
    await proveTrial(page, 'ada@example.com');
    await page.getByRole('heading', { name: 'Sign-in result' }).waitFor();
  }),
  'desk-try-denied': desk('/try', async (page) => {
    await page.getByRole('button', { name: 'Try: denied' }).click();
    await page.getByRole('alert').getByText('access_denied: ').waitFor();
  }),
  'desk-try-at-once': desk('/try', async (page) => {
    await page.getByRole('button', { name: 'Sign in at once' }).click();
    await page.getByText('Signed in. Below is every step').waitFor();
  }),
  'desk-try-refused-link': desk('/try', async (page) => {
    await page.getByRole('button', { name: 'Try: other browser' }).click();
    await page.getByText('It would be refused: same-browser enforcement is on').waitFor();
  }),
  'desk-try-headless': desk('/try/headless', async (page) => {
    await page.getByRole('button', { name: 'Send email' }).click();
    await page.getByLabel('Code', { exact: true }).fill('000000');
    await page.getByRole('button', { name: 'Verify' }).click();
    await page.getByText('INVALID_CODE').waitFor();
  }),
  'desk-try-other-browser': desk('/try/callback?code=stolen&state=stolen', (page) => page.getByText('belongs to no sign-in').waitFor()),
  'desk-clock': desk('/clock'),
  'desk-faults': desk('/faults'),
  'desk-environments': desk('/environments'),
  'desk-state': desk('/state'),
  'desk-other-browser': desk('', async (page) => {
    await fetch(authorize({ login_hint: 'other@example.com' }), { redirect: 'manual' });
    await page.goto(`${vestibule.url}/_emulator/inbox/${(await vestibule.mailTo('other@example.com')).id}`);
    await page.getByRole('link', { name: 'Open as another browser' }).click();
    await page.getByText('It would be refused: same-browser enforcement is on').waitFor();
  }),
});

for (const [name, open] of Object.entries(pages)) {
  test(`${name} has no accessibility violation and fits a phone`, async () => {
    const { context, page, faults } = await freshPage(browser);
    await open(page);
    assert.equal(await page.locator('h1').count(), 1);
    await takePictures(page, name);
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      const { violations } = await new AxeBuilder({ page }).exclude('iframe').analyze();
      assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(' ')}`), [], colorScheme);
    }
    for (const width of [1280, 390, 320]) {
      await page.setViewportSize({ width, height: 640 });
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.equal(overflow, 0, `the page scrolls sideways at ${width} px`);
    }
    assert.deepEqual(faults, []);
    await context.close();
  });
}

/** Where the middle of each digit of a code is, where its box begins and ends, and what the field would hide of the boxes. */
const drawnCode = (page) => page.evaluate(() => {
  const field = document.querySelector('input[name="code"]');
  const style = getComputedStyle(field);
  const px = (value) => Number.parseFloat(value);
  const pen = document.createElement('canvas').getContext('2d');
  pen.font = style.font;
  const width = pen.measureText('0').width;
  const left = field.getBoundingClientRect().left + px(style.borderLeftWidth) + px(style.paddingLeft);
  return {
    hides: [style.backgroundColor, style.borderTopWidth],
    digits: Array.from({ length: field.maxLength }, (_, i) => left + i * (width + px(style.letterSpacing)) + width / 2),
    boxes: [...document.querySelectorAll('.boxes span')].map((box) => {
      const { left, right } = box.getBoundingClientRect();
      return { left, right, edge: getComputedStyle(box).borderTopWidth };
    }),
  };
});

for (const length of [6, 8, 10]) {
  test(`a code of ${length} digits is drawn as ${length} boxes with a digit in each`, async () => {
    const server = await startVestibule(`[passwordless]\ncode_length = ${length}\n`);
    const { context, page } = await freshPage(browser, { reducedMotion: 'reduce' });
    await page.goto(server.authorizeUrl(application.callback, { login_hint: 'boxes@example.com' }));
    for (const width of [320, 390, 1280]) {
      await page.setViewportSize({ width, height: 800 });
      const { hides, digits, boxes } = await drawnCode(page);
      assert.deepEqual(hides, ['rgba(0, 0, 0, 0)', '0px'], 'the field lies over the boxes and must not hide them');
      assert.equal(boxes.length, length);
      boxes.forEach(({ left, right, edge }, i) => {
        assert.equal(edge, '1px');
        const off = digits[i] - (left + right) / 2;
        assert.ok(Math.abs(off) < (right - left) / 4, `digit ${i + 1} is ${off} px beside its box at ${width} px`);
      });
    }
    await context.close();
    await server.stop();
  });
}

test('what was done is said over the page for a while, and in the page without a script', async () => {
  const { context, page } = await freshPage(browser);
  await page.clock.install();
  await page.goto(`${vestibule.url}/dashboard/users?done=saved`);
  const toast = page.getByText('Saved. The next request uses it.');
  await toast.waitFor();
  assert.equal(await toast.evaluate((element) => getComputedStyle(element).position), 'fixed');
  await toast.hover();
  await page.clock.fastForward(9_000);
  assert.ok(await toast.isVisible(), 'it is not taken from under the pointer');
  await page.mouse.move(0, 0);
  await page.clock.fastForward(9_000);
  await toast.waitFor({ state: 'detached' });
  await context.close();

  const plain = await freshPage(browser, { javaScriptEnabled: false });
  await plain.page.goto(`${vestibule.url}/dashboard/users?done=saved`);
  const line = plain.page.getByText('Saved. The next request uses it.');
  assert.ok(await line.isVisible());
  await plain.context.close();
});

test('a sign-in is tried, refreshed and signed out from an empty browser', async () => {
  const { context, page, faults } = await freshPage(browser);
  await page.goto(`${vestibule.url}/dashboard`);
  await page.getByRole('link', { name: 'Try it', exact: true }).click();
  await page.getByRole('button', { name: 'Sign in as ada@example.com' }).click();
  await proveTrial(page, 'ada@example.com');
  await page.getByRole('heading', { name: 'Sign-in result' }).waitFor();
  assert.equal(await page.locator('.badge.wrong').count(), 0, 'every check is in order');
  await page.getByRole('button', { name: 'Refresh tokens' }).click();
  await page.getByText('Refreshed. These are the new tokens.').waitFor();
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.getByText('Signed out.').waitFor();
  await page.getByRole('link', { name: 'Timeline of this sign-in' }).click();
  await page.getByRole('heading', { name: 'ada@example.com' }).waitFor();
  assert.deepEqual(faults, []);
  await context.close();
});

test('an organization, a role, an invited member and a machine client are made in the dashboard', async () => {
  const { context, page, faults } = await freshPage(browser);
  const main = page.getByRole('main');
  const press = (name) => page.getByRole('button', { name, exact: true }).click();
  const follow = (name) => main.getByRole('link', { name, exact: true }).click();
  await page.goto(`${vestibule.url}/dashboard/permissions`);
  await follow('New permission');
  await page.getByLabel('Name', { exact: true }).fill('write:documents');
  await press('Create');
  await page.goto(`${vestibule.url}/dashboard/roles`);
  await follow('New role');
  await page.getByLabel('Name', { exact: true }).fill('writer');
  await page.getByLabel('Display name').fill('Writer');
  await page.getByLabel('Permissions').fill('write:documents');
  await press('Create');
  await page.getByText('Created.').waitFor();

  await page.goto(`${vestibule.url}/dashboard/organizations`);
  await follow('New organization');
  await page.getByLabel('Name', { exact: true }).fill('Journey Inc');
  await press('Create');
  await page.getByRole('heading', { name: 'Journey Inc' }).waitFor();
  await main.getByRole('link', { name: 'Members', exact: true }).click();
  await follow('New member');
  await page.getByLabel('Email address').fill('journey@example.com');
  await page.getByLabel('Roles').fill('writer');
  await press('Add');
  await page.getByText('Invitation sent.').waitFor();
  await page.getByText('write:documents').waitFor();
  // A reload sends nothing again.
  await page.reload();
  const invitation = await vestibule.mailTo('journey@example.com');
  assert.equal(invitation.kind, 'invitation');

  await page.getByRole('link', { name: 'Organization', exact: true }).click();
  await main.getByRole('link', { name: 'M2M clients', exact: true }).click();
  await follow('New client');
  await page.getByLabel('Name', { exact: true }).fill('Robot');
  await press('Create');
  const facts = page.locator('section', { has: page.getByRole('heading', { name: 'New secret' }) }).locator('dd code');
  const [clientId, secret] = await facts.allTextContents();
  const form = new URLSearchParams({ grant_type: 'client_credentials', client_id: clientId, client_secret: secret });
  const token = await fetch(`${vestibule.url}/oauth/token`, { method: 'POST', body: form });
  assert.equal(token.status, 200);
  await page.goto(`${vestibule.url}/dashboard/organizations`);
  await main.getByRole('link', { name: 'Journey Inc' }).click();
  await main.getByRole('link', { name: 'M2M clients', exact: true }).click();
  await main.getByRole('link', { name: 'Robot' }).click();
  await page.getByRole('heading', { name: 'Robot' }).waitFor();
  assert.ok(!(await page.content()).includes(secret), 'a secret is shown once');
  assert.deepEqual(faults, []);
  await context.close();
});

test('the keyboard alone is enough for the dashboard', async () => {
  const { context, page } = await freshPage(browser);
  const tabTo = async (locator) => {
    for (let i = 0; i < 60; i++) {
      if (await locator.evaluate((element) => element === document.activeElement)) return;
      await page.keyboard.press('Tab');
    }
    assert.fail(`no way by Tab to ${locator}`);
  };
  await page.goto(`${vestibule.url}/dashboard`);
  await tabTo(page.getByRole('link', { name: 'Users', exact: true }));
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Users', exact: true }).waitFor();
  await page.keyboard.press('/');
  assert.equal(await page.evaluate(() => document.activeElement.type), 'search');
  await tabTo(page.getByRole('link', { name: 'New user' }));
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'New user' }).waitFor();
  await tabTo(page.getByLabel('Email address', { exact: true }));
  await page.keyboard.type('keys@example.com');
  await page.keyboard.press('Enter');
  await page.getByText('Created.').waitFor();
  await page.goto(`${vestibule.url}/dashboard/users?q=keys@`);
  await tabTo(page.getByRole('link', { name: 'keys@example.com' }));
  await page.keyboard.press('Enter');
  // What destroys asks first.
  await tabTo(page.locator('summary', { hasText: 'Delete this user' }));
  await page.keyboard.press('Enter');
  await tabTo(page.getByRole('button', { name: /delete this user/i }));
  await page.keyboard.press('Enter');
  await page.getByText('Deleted.').waitFor();
  await context.close();
});

test('on phones every page of the dashboard has targets of 44 px, stands still and weighs little', async () => {
  const { context, page, faults } = await freshPage(browser, { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
  await page.addInitScript(() => {
    window.shift = 0;
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => { window.shift += entry.value; }))
      .observe({ type: 'layout-shift', buffered: true });
  });
  await page.goto(`${vestibule.url}/dashboard`);
  const pages = await page.locator('nav a[href]').evaluateAll((links) => [...new Set(links.filter((link) => !link.hash).map((link) => link.href))]);
  assert.ok(pages.length > 20, pages.join(' '));
  for (const address of [...pages, `${vestibule.url}/dashboard/users/new`, `${vestibule.url}/dashboard/api/rest/UserService`]) {
    const response = await page.goto(address);
    assert.ok((await response.body()).length < 100_000, address);
    const small = await page
      .locator('button, input:not([type=hidden]):not([type=checkbox]), select, textarea, summary, nav a, a.button')
      .evaluateAll((targets) => targets
        .map((target) => [target.outerHTML, target.getBoundingClientRect()])
        .filter(([, { width, height }]) => width > 2 && height > 0 && height < 43.5)
        .map(([html]) => html));
    assert.deepEqual(small, [], address);
    assert.equal(await page.evaluate(() => window.shift), 0, address);
  }
  assert.deepEqual(faults, []);
  await context.close();
});
