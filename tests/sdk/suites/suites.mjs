// Runs the suites that `run` prepared, and writes how each test ended as a table of docs/COMPATIBILITY.md, or checks
// that it stands there. So a test that starts to fail, and a listed one that starts to pass, fails the run.
//   node tests/sdk/suites/suites.mjs WORK PYTHON_VERSION GO_VERSION
//   UPDATE_REFERENCE=1 ./scripts/test sdk      writes the table
import { spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startVestibule } from '../../e2e/support/server.mjs';
import { checkGenerated } from '../../generated.mjs';
import { reasonFor } from './reasons.mjs';

const [work, pythonVersion, goVersion] = process.argv.slice(2);
const python = `Python ${pythonVersion}`;
const go = `Go ${goVersion}`;

/** Runs a program to its end; its standard output goes to `onOutput`, or where this program's goes. */
function run(program, args, { cwd, env, onOutput }) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env, stdio: ['ignore', onOutput ? 'pipe' : 'inherit', 'inherit'] });
    child.stdout?.setEncoding('utf8').on('data', onOutput);
    child.once('error', reject);
    child.once('close', resolve);
  });
}

/** How each test of the Python suite ended: `{ sdk, file, test, outcome }`. */
async function runPython(variables) {
  const file = join(work, 'python.json');
  rmSync(file, { force: true });
  await run(join(work, 'venv', 'bin', 'python'), [
    '-m', 'pytest', '-q', '-p', 'no:cacheprovider', '-p', 'no:warnings', '-p', 'outcomes', '--tb=short',
    '--continue-on-collection-errors', 'tests',
  ], {
    cwd: join(work, `scalekit_sdk_python-${pythonVersion}`),
    env: { ...variables, PYTHONPATH: fileURLToPath(new URL('python', import.meta.url)), SUITE_OUTCOMES: file, PYTHONDONTWRITEBYTECODE: '1' },
  });
  return Object.entries(JSON.parse(readFileSync(file, 'utf8'))).map(([id, outcome]) => {
    const [path, ...names] = id.split('::');
    return { sdk: python, file: path.replace('tests/', ''), test: names.join('.') || 'all', outcome };
  });
}

/** How each test of the Go suite ended. A test with subtests stands for them, unless it failed by itself. */
async function runGo(variables) {
  const outcomes = new Map();
  const said = new Map();
  let rest = '';
  const take = (line) => {
    const { Action: action, Test: test, Output: output = '' } = JSON.parse(line);
    if (!test) {
      if (action === 'output') process.stdout.write(output);
      return;
    }
    if (action === 'output') said.set(test, (said.get(test) ?? '') + output);
    // What never ends was cut off by a panic.
    if (action === 'run') outcomes.set(test, 'failed');
    const ended = { pass: 'passed', fail: 'failed', skip: 'skipped' }[action];
    if (ended) outcomes.set(test, ended);
  };
  await run('go', ['tool', 'test2json', join(work, 'go.test'), '-test.v=test2json', '-test.timeout=5m'], {
    cwd: join(work, 'go', 'test'),
    env: { ...variables, GOTOOLCHAIN: 'local' },
    onOutput(chunk) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop();
      for (const line of lines) if (line) take(line);
    },
  });
  const isParent = (name) => [...outcomes].some(([other, outcome]) =>
    other.startsWith(`${name}/`) && (outcome === 'failed' || outcomes.get(name) !== 'failed'));
  const leaves = [...outcomes].filter(([name]) => !isParent(name));
  for (const [name, outcome] of leaves) if (outcome === 'failed') process.stdout.write(said.get(name) ?? '');
  return leaves.map(([test, outcome]) => ({ sdk: go, file: '', test, outcome }));
}

/** A call of the management API by the control API, which wants no token. */
async function api(server, path, body) {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${server.url}/_emulator/v1/api/${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

/** A token of the client, as `client_credentials` give it. */
async function clientToken(server) {
  const form = { grant_type: 'client_credentials', client_id: server.clientId, client_secret: server.clientSecret };
  const response = await fetch(`${server.url}/oauth/token`, { method: 'POST', body: new URLSearchParams(form) });
  return (await response.json()).access_token;
}

/** Whatever the suites read from the environment, as far as there is such a thing here. */
async function variablesFor(server) {
  const { organization } = await api(server, 'organizations', { display_name: 'Suites' });
  const { user } = await api(server, `organizations/${organization.id}/users?send_invitation_email=false`, { email: 'suites@example.com' });
  const token = await clientToken(server);
  const { iss } = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
  const inherited = Object.entries(process.env).filter(([name]) => !/^(VESTIBULE|SCALEKIT|TEST)_/.test(name));
  return {
    ...Object.fromEntries(inherited),
    // The SDK of Python speaks gRPC by TLS whatever the URL says (`grpc.ssl_channel_credentials()` in core.py), so
    // the suites are given https:// and what to trust.
    SCALEKIT_ENV_URL: server.httpsUrl,
    SCALEKIT_ENVIRONMENT_URL: server.httpsUrl,
    SCALEKIT_CLIENT_ID: server.clientId,
    SCALEKIT_CLIENT_SECRET: server.clientSecret,
    REQUESTS_CA_BUNDLE: server.caFile,
    GRPC_DEFAULT_SSL_ROOTS_FILE_PATH: server.caFile,
    SSL_CERT_FILE: server.caFile,
    TEST_ORGANIZATION_ID: organization.id,
    TEST_USER_ID: user.id,
    TEST_ROLE_NAME: 'member',
    TEST_BASE_ROLE_NAME: 'member',
    TEST_DEFAULT_CREATOR_ROLE: 'admin',
    TEST_DEFAULT_MEMBER_ROLE: 'member',
    SCALEKIT_TEST_ACCESS_TOKEN: token,
    SCALEKIT_TEST_ISSUER: iss,
  };
}

const count = (results, outcome) => results.filter((result) => result.outcome === outcome).length;
const row = (cells) => `| ${cells.join(' | ')} |\n`;

/** How many there are of each suite: a test that vanishes is missed. */
function totals(suites) {
  const rows = suites.map(([sdk, results]) =>
    row([sdk, results.length, count(results, 'passed'), count(results, 'failed'), count(results, 'skipped')]));
  return `${row(['suite', 'tests', 'pass', 'fail', 'skip themselves'])}|---|---|---|---|---|\n${rows.join('')}`;
}

/** Tests that do not pass, by suite and reason. */
function exceptions(results) {
  const groups = new Map();
  for (const { sdk, file, test, outcome } of results.filter((result) => result.outcome !== 'passed')) {
    const reason = reasonFor(sdk, file, test) ?? '**no reason is given in tests/sdk/suites/reasons.mjs**';
    const key = [sdk, reason, outcome === 'failed' ? 'fail' : 'skip themselves'].join('\n');
    const files = groups.get(key) ?? new Map();
    files.set(file, [...(files.get(file) ?? []), test]);
    groups.set(key, files);
  }
  const rows = [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, files]) => {
    const [sdk, reason, outcome] = key.split('\n');
    const tests = [...files].sort().map(([file, names]) => {
      const sorted = names.sort().map((name) => `\`${name}\``).join(', ');
      return file ? `${file}: ${sorted}` : sorted;
    });
    return row([sdk, outcome, reason, tests.join('<br>')]);
  });
  return `${row(['suite', 'outcome', 'why', 'tests'])}|---|---|---|---|\n${rows.join('')}`;
}

// The suites send to the same addresses again and again.
const server = await startVestibule('[limits]\nmails_per_address = 0\n');
let suites;
try {
  const variables = await variablesFor(server);
  suites = [[go, await runGo(variables)], [python, await runPython(variables)]];
} finally {
  await server.stop();
}
const all = suites.flatMap(([, results]) => results);
for (const [sdk, results] of suites) {
  if (count(results, 'passed') === 0) throw new Error(`no test of ${sdk} passed`);
}
checkGenerated('sdk suites', 'sdk', `${totals(suites)}\n${exceptions(all)}`);
for (const { sdk, file, test } of all.filter((r) => r.outcome !== 'passed' && !reasonFor(r.sdk, r.file, r.test))) {
  console.error(`${sdk}: ${file} ${test} does not pass, and tests/sdk/suites/reasons.mjs says no reason`);
  process.exitCode = 1;
}
