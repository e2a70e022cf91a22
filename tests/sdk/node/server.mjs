// A server of one's own, with the authority that this process trusts since its start.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

export const binary = process.env.VESTIBULE_BIN ?? new URL('../../../target/debug/vestibule', import.meta.url).pathname;

/** What the caller's shell or CI sets for a server of its own is not for these. */
export const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => name !== 'DATABASE_URL' && !/^VESTIBULE_(?!BIN)/.test(name)),
);

const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Starts a server. With `data` it keeps its keys there; `port` is where it listens again after a stop. */
export async function startVestibule({ data, port = 0, transport = 'http' } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'vestibule-sdk-'));
  const ready = join(folder, 'ready.json');
  const keep = data ? ['--data-dir', data] : ['--ephemeral', '--data-dir', process.env.VESTIBULE_SDK_CA];
  const child = spawn(binary, ['serve', ...keep, '--listen', `127.0.0.1:${port}`, '--ready-file', ready], {
    cwd: folder,
    env: environment,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  running.add(child);
  let log = '';
  child.stderr.on('data', (chunk) => { log += chunk; });
  const ended = new Promise((resolve) => child.once('exit', (code, signal) => { running.delete(child); resolve(code ?? signal); }));
  for (const deadline = Date.now() + 30_000; !existsSync(ready);) {
    if (!running.has(child) || Date.now() > deadline) throw new Error(`the server did not start: ${log}`);
    await pause(10);
  }
  const says = JSON.parse(readFileSync(ready, 'utf8'));
  const plain = says.environment_url;
  return {
    url: transport === 'https' ? says.https_url : plain,
    port: Number(new URL(plain).port),
    clientId: says.client_id,
    clientSecret: says.client_secret,
    async stop() {
      child.kill('SIGTERM');
      const code = await ended;
      rmSync(folder, { recursive: true, force: true });
      if (code !== 0) throw new Error(`the server ended with ${code}: ${log}`);
    },
    /** The newest mail to an address, waited for. */
    async mailTo(address) {
      const response = await fetch(`${plain}/_emulator/v1/messages/latest?to=${encodeURIComponent(address)}`);
      if (!response.ok) throw new Error(`no mail to ${address}: ${response.status}`);
      return response.json();
    },
    async moveClock(seconds) {
      const body = JSON.stringify({ advance_s: seconds });
      const headers = { 'content-type': 'application/json' };
      const response = await fetch(`${plain}/_emulator/v1/clock`, { method: 'PUT', headers, body });
      if (!response.ok) throw new Error(`the clock does not move: ${response.status}`);
    },
  };
}

/** What a person's browser does with an authorization URL: the answer's parameters at the application. */
export async function signIn(vestibule, authorizationUrl, address) {
  const cookies = new Map();
  const go = async (url, options = {}) => {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(new URL(url, vestibule.url), { redirect: 'manual', ...options, headers: { cookie, ...options.headers } });
    for (const line of response.headers.getSetCookie()) {
      const [name, value] = line.split(';')[0].split(/=(.*)/s);
      cookies.set(name, value);
    }
    return response;
  };
  const started = await go(authorizationUrl);
  const page = started.headers.get('location');
  if (started.status !== 303 || !page.includes('/login/')) throw new Error(`no sign-in page: ${started.status} ${page}`);
  const { code } = await vestibule.mailTo(address);
  const done = await go(`${page}/code`, { method: 'POST', body: new URLSearchParams({ code }) });
  if (done.status !== 303) throw new Error(`the code was refused: ${done.status} ${await done.text()}`);
  return new URL(done.headers.get('location')).searchParams;
}
