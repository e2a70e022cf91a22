// "Try it" shows each step as code for Scalekit's SDKs. Here it stands in programs that compilers and interpreters take, with
// the values that a sign-in put into it. Java is missing: its SDK is in no registry.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startVestibule } from '../../e2e/support/server.mjs';

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const STEPS = ['Start', 'Exchange', 'Validate', 'Refresh', 'Log out', 'Send, resend and verify'];

let vestibule;
let codes;

/** A browser on the dashboard, as far as "Try it" needs one. */
function browser(base) {
  const cookies = new Map();
  return async function open(url, form) {
    const response = await fetch(new URL(url, base), {
      method: form ? 'POST' : 'GET',
      body: form && new URLSearchParams(form),
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '), origin: base },
      redirect: 'manual',
    });
    for (const cookie of response.headers.getSetCookie()) {
      const [name, value] = cookie.split(';')[0].split('=');
      cookies.set(name, value);
    }
    return { location: new URL(response.headers.get('location') ?? url, base).href, html: await response.text() };
  };
}

const ENTITIES = { '&#34;': '"', '&#39;': "'", '&#38;': '&', '&#60;': '<', '&#62;': '>', '&quot;': '"', '&amp;': '&', '&lt;': '<', '&gt;': '>' };

/** The code on a page, by step and language. */
function codesOn(html) {
  const shown = html.matchAll(/<pre tabindex="0" aria-label="([^"]*) as code: (\w+)">([^<]*)<\/pre>/g);
  return [...shown].map(([, step, language, code]) => ({
    step,
    language,
    code: code.replace(/&#?\w+;/g, (entity) => ENTITIES[entity] ?? assert.fail(entity)),
  }));
}

before(async () => {
  vestibule = await startVestibule('[[users]]\nemail = "ada@example.com"\n');
  const open = browser(vestibule.url);
  const address = 'ada@example.com';
  const scope = 'openid profile email offline_access';
  const wanted = { client_id: vestibule.clientId, scope, login_hint: address, prompt: 'login', pkce: 'on' };
  let { location } = await open('/dashboard/try', wanted);
  ({ location } = await open(location));
  ({ location } = await open(`${location}/code`, { code: (await vestibule.mailTo(address)).code }));
  ({ location } = await open(location));
  const result = await open(location);
  codes = [...codesOn(result.html), ...codesOn((await open('/dashboard/try/headless')).html)];
});
after(() => vestibule?.stop());

/** Each step of a language, as `wrap` puts it into a program. */
function program(language, wrap) {
  const steps = codes.filter((shown) => shown.language === language);
  assert.deepEqual(steps.map(({ step }) => step), STEPS, language);
  return steps.map(({ code }, index) => wrap(code, index)).join('\n');
}

const indented = (code, by) => code.replace(/^/gm, by);

/** Runs a compiler or interpreter; what it says is the failure. */
function take(source, command, args, options = {}) {
  try {
    execFileSync(command, args, { stdio: 'pipe', encoding: 'utf8', ...options });
  } catch (error) {
    assert.fail(`${error.stdout ?? ''}${error.stderr ?? error}\n${source}`);
  }
}

test('Node: the types of the SDK fit', () => {
  // Beside the SDK, so that it is found.
  const folder = path('../node/node_modules/.snippets');
  mkdirSync(folder, { recursive: true });
  const source = `import { ScalekitClient } from 'scalekit-newest';
declare const scalekit: ScalekitClient;
declare const accessToken: string, idToken: string, code: string;
${program('Node', (code) => `async () => {\n${code}\n};`)}
`;
  writeFileSync(join(folder, 'snippets.ts'), source);
  const options = ['--noEmit', '--strict', '--skipLibCheck', '--target', 'es2022', '--module', 'node16', 'snippets.ts'];
  take(source, path('../node/node_modules/.bin/tsc'), options, { cwd: folder });
});

test('Python: every name is there', () => {
  // A code is used already, and a server without TLS is not one for gRPC: what the SDK then raises is its own.
  const source = `from scalekit import ScalekitClient
from scalekit.common.exceptions import ScalekitException
from scalekit.common.scalekit import AuthorizationUrlOptions, CodeAuthenticationOptions, LogoutUrlOptions

scalekit = ScalekitClient(${JSON.stringify(vestibule.url)}, ${JSON.stringify(vestibule.clientId)}, ${JSON.stringify(vestibule.clientSecret)})
access_token = id_token = code = "x"

def known(options):
    unknown = vars(options).keys() - vars(type(options)()).keys()
    assert not unknown, unknown

${program('Python', (code) => `try:\n${indented(code, '    ')}\nexcept ScalekitException:\n    pass\nif "options" in globals():\n    known(globals().pop("options"))\n`)}
`;
  take(source, join(process.env.VESTIBULE_SDK_WORK, 'python/newest/bin/python'), ['-c', source], { timeout: 60_000 });
});

test('Go: it compiles', () => {
  const folder = mkdtempSync(join(tmpdir(), 'vestibule-snippets-'));
  const inFunction = (code, index) => {
    const names = new Set([...code.matchAll(/^([\w, ]+) :=/gm)].flatMap(([, names]) => names.split(', ')));
    const used = [...names].filter((name) => name !== '_').map((name) => `\t\t_ = ${name}\n`).join('');
    return `func step${index}(ctx context.Context, client scalekit.Scalekit, accessToken, idToken, code string) {\n\t{\n${indented(code, '\t\t')}\n${used}\t}\n}`;
  };
  const source = `package snippets\n\nimport (\n\t"context"\n\n\tscalekit "github.com/scalekit-inc/scalekit-sdk-go/v2"\n)\n\n${program('Go', inFunction)}\n`;
  // The file is nowhere but in the compiler's eyes.
  writeFileSync(join(folder, 'snippets.go'), source);
  const overlay = { Replace: { [path('../go/snippets/snippets.go')]: join(folder, 'snippets.go') } };
  writeFileSync(join(folder, 'overlay.json'), JSON.stringify(overlay));
  take(source, 'go', ['build', '-overlay', join(folder, 'overlay.json'), './snippets'], { cwd: path('../go') });
  rmSync(folder, { recursive: true });
});
