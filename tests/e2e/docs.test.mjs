// The samples of README, quickstart, FRAMEWORKS and TESTING, and what the CI recipes start, as they stand there.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { samplesIn } from './support/documents.mjs';
import { binary, environment, signInOverHttp, startVestibule } from './support/server.mjs';

const THIS = 'tests/e2e/docs.test.mjs';
const DEFAULT_URL = 'http://localhost:6870';
const run = promisify(execFile);
const written = [];
let vestibule;
let folder;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'vestibule-docs-'));
  // `vestibule` in PATH, as after an installation.
  writeFileSync(join(folder, 'vestibule'), `#!/bin/sh\nexec '${binary}' "$@"\n`);
  chmodSync(join(folder, 'vestibule'), 0o755);
  vestibule = await startVestibule();
  process.env.SCALEKIT_ENVIRONMENT_URL = vestibule.url;
  process.env.SCALEKIT_CLIENT_ID = vestibule.clientId;
  process.env.SCALEKIT_CLIENT_SECRET = vestibule.clientSecret;
});
after(async () => {
  for (const file of written) rmSync(file, { force: true });
  await vestibule?.stop();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

/** A sample as a module beside this test, where it finds the SDK. */
function write(name, text) {
  const file = new URL(`./output-docs-${name}.mjs`, import.meta.url);
  written.push(file);
  writeFileSync(file, text);
  return file;
}

async function until(what) {
  for (const deadline = Date.now() + 20_000; ;) {
    try {
      return await what();
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
}

const freePort = () => new Promise((resolve) => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

const path = () => `${folder}:${process.env.PATH}`;

/** What the commands of a document do, with the server's own URL in place of the default one. Unknown commands fail. */
async function follow(name, server, app) {
  const set = {};
  let greeting;
  const commands = samplesIn('sh', name, THIS).flatMap((block) => block.trim().split('\n'));
  for (const command of commands) {
    const [, variable, value] = /^export (\w+)=(\S+)$/.exec(command) ?? [];
    if (variable) {
      set[variable] = value.replace(DEFAULT_URL, server.url);
    } else if (command === 'vestibule') {
      await startsWithoutArguments();
    } else if (command === 'vestibule --version') {
      assert.match((await run(binary, ['--version'])).stdout, /^vestibule \d+\.\d+\.\d+/);
    } else if (command.startsWith('npm install ')) {
      const { dependencies } = JSON.parse(readFileSync(new URL('./package.json', import.meta.url), 'utf8'));
      assert.ok(dependencies[command.slice('npm install '.length)], command);
    } else if (command === 'node app.mjs') {
      greeting = await signInAt(write(name.replaceAll(/\W/g, '-'), app), set, server);
    } else if (command.startsWith('curl ')) {
      const { stdout } = await run('sh', ['-c', command.replace(DEFAULT_URL, server.url)]);
      assert.match(JSON.parse(stdout).code, /^\d{6}$/, command);
    } else {
      assert.fail(`${name}: no test runs ${command}`);
    }
  }
  return greeting;
}

/** Starts the application, signs in, and gives what it says. */
async function signInAt(file, variables, server) {
  const port = await freePort();
  const child = spawn(process.execPath, [file.pathname], { env: { PATH: process.env.PATH, ...variables, PORT: String(port) }, stdio: 'inherit' });
  try {
    const start = await until(() => fetch(`http://localhost:${port}/`, { redirect: 'manual' }));
    const back = await signInOverHttp(server, start.headers.get('location'), 'ada@example.com');
    return await (await fetch(back)).text();
  } finally {
    child.kill();
  }
}

/** `vestibule`, with a port of its own. */
async function startsWithoutArguments() {
  const ready = join(folder, 'first.json');
  const env = { ...environment, PATH: path(), VESTIBULE_LISTEN: 'localhost:0', VESTIBULE_READY_FILE: ready };
  const child = spawn('vestibule', { cwd: folder, env, stdio: 'ignore' });
  const ended = new Promise((resolve) => { child.once('exit', resolve); });
  try {
    const { environment_url } = await until(() => JSON.parse(readFileSync(ready, 'utf8')));
    assert.equal((await fetch(`${environment_url}/dashboard`)).status, 200);
  } finally {
    child.kill('SIGTERM');
    await ended;
  }
}

for (const name of ['README.md', 'docs/QUICKSTART.md']) {
  test(`${name} leads to an application that knows its user`, async () => {
    const [app] = samplesIn('js', name, THIS);
    assert.equal(await follow(name, vestibule, app), 'Hello, ada@example.com');
  });
}

test('docs/INSTALL.md leads to a server that runs', async () => {
  await follow('docs/INSTALL.md', vestibule);
});

test('the samples for Node sign a user in, read codes, move time, break things and receive webhooks', async () => {
  await vestibule.moveClock(61);
  const blocks = ['docs/FRAMEWORKS.md', 'docs/TESTING.md'].flatMap((name) => samplesIn('js', name, THIS));
  assert.equal(blocks.length, 10);
  const sample = await import(write('samples', blocks.join('\n')).href);
  for (let round = 0; round < 4; round += 1) {
    const inbox = await sample.openInbox('jane@example.com');
    const back = await signInOverHttp({ ...vestibule, mailTo: inbox.next }, sample.signInUrl(), 'jane@example.com');
    assert.equal(back.searchParams.get('state'), 'xyz');
    assert.equal((await sample.exchangeCode(back.searchParams.get('code'))).user.email, 'jane@example.com');
    await vestibule.moveClock(61);
  }

  // Nobody waits for the second send, and its code is the one that is read all the same.
  await sample.sendCode('bob@example.com');
  const inbox = await sample.openInbox('bob@example.com');
  const sent = sample.sendCode('bob@example.com');
  const { code } = await inbox.next();
  const { authRequestId } = await sent;
  assert.equal((await sample.verifyCode(code, authRequestId)).email, 'bob@example.com');

  const created = await sample.newEnvironment();
  const discovery = await (await fetch(`${created.path_url}/.well-known/openid-configuration`)).json();
  assert.equal(discovery.issuer, created.path_url);
  const lateInbox = await sample.openInbox('late@example.com');
  const late = await sample.sendCode('late@example.com');
  const lateCode = (await lateInbox.next()).code;
  await sample.tenMinutesLater();
  await assert.rejects(sample.verifyCode(lateCode, late.authRequestId), /expired/);

  await receivesAWebhook(sample);

  await sample.failNextTokenRequest();
  const broken = await fetch(`${vestibule.url}/oauth/token`, { method: 'POST' });
  assert.equal(broken.status, 503);
  await sample.reset();
  assert.equal((await (await fetch(`${vestibule.url}/_emulator/v1/messages`)).json()).messages.length, 0);
});

async function receivesAWebhook({ addWebhook, readWebhook, waitForEvent }) {
  let hear;
  const heard = new Promise((resolve) => { hear = resolve; });
  const endpoint = createServer(async (request, response) => {
    let body = '';
    for await (const part of request.setEncoding('utf8')) body += part;
    response.end();
    hear({ headers: request.headers, body });
  });
  await new Promise((listening) => { endpoint.listen(0, '127.0.0.1', listening); });
  const { secret } = await addWebhook(`http://127.0.0.1:${endpoint.address().port}/`);
  const organization = await fetch(`${vestibule.url}/_emulator/v1/api/organizations`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ display_name: 'Acme' }),
  });
  assert.equal(organization.status, 201);
  const webhook = await heard;
  endpoint.close();
  const event = readWebhook(secret, webhook.headers, webhook.body);
  assert.equal(event.data.display_name, 'Acme');
  assert.deepEqual(await waitForEvent('organization.created'), event);
  assert.throws(() => readWebhook(secret, webhook.headers, webhook.body.replace('Acme', 'Acmf')));
}

/** What stands for `npm` in a recipe: it asks for a token with the variables that it was given. */
const NPM = `#!/bin/sh
exec curl --fail --silent --data grant_type=client_credentials --data "client_id=$SCALEKIT_CLIENT_ID" \\
  --data "client_secret=$SCALEKIT_CLIENT_SECRET" "$SCALEKIT_ENVIRONMENT_URL/oauth/token"
`;

/** Runs the command of a recipe that starts a server and the tests. */
async function recipe(file) {
  const [command] = /vestibule exec .*/.exec(readFileSync(new URL(`../../docs/ci/${file}`, import.meta.url), 'utf8'));
  const cwd = mkdtempSync(join(folder, 'recipe-'));
  writeFileSync(join(cwd, 'npm'), NPM);
  chmodSync(join(cwd, 'npm'), 0o755);
  const env = { ...environment, PATH: `${cwd}:${path()}` };
  for (const name of Object.keys(env).filter((name) => name.startsWith('SCALEKIT_'))) delete env[name];
  const { stdout } = await run('sh', ['-c', command], { cwd, env, timeout: 60_000 });
  assert.ok(JSON.parse(stdout).access_token, stdout);
}

test('the recipe for GitLab gives the tests a server and its credentials', () => recipe('gitlab-ci.yml'));

test('the recipe for CircleCI gives the tests a server and its credentials', () => recipe('circleci.yml'));
