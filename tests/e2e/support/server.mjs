// A server of one's own, the application it sends users back to, and its inbox.
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export const binary = process.env.VESTIBULE_BIN ?? fileURLToPath(new URL('../../../target/debug/vestibule', import.meta.url));

/** What the caller's shell or CI sets for a server of its own is not for these. */
export const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => name !== 'DATABASE_URL' && !name.startsWith('VESTIBULE_')),
);

/** Servers that a failed test left behind: they neither keep this process alive nor outlive it. */
const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/**
 * Starts Vestibule; `toml` is its vestibule.toml, `keep` says where it keeps its data, `port` where it listens (0: any).
 */
export async function startVestibule(toml = '', { keep = ['--ephemeral'], port = 0 } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'vestibule-e2e-'));
  const ready = join(folder, 'ready.json');
  writeFileSync(join(folder, 'vestibule.toml'), toml);
  const child = spawn(binary, ['serve', ...keep, '--listen', `localhost:${port}`, '--ready-file', ready], {
    cwd: folder,
    env: environment,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  running.add(child);
  let log = '';
  child.stderr.on('data', (chunk) => { log += chunk; });
  let stopped = false;
  const ended = new Promise((resolve) => {
    child.once('error', (error) => { log += error; resolve(error.code); });
    child.once('exit', (code, signal) => resolve(code ?? signal));
  }).then((code) => {
    stopped = true;
    running.delete(child);
    return code;
  });
  for (const deadline = Date.now() + 30_000; !existsSync(ready);) {
    if (stopped || Date.now() > deadline) {
      child.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
      throw new Error(`the server did not start: ${log}`);
    }
    await pause(10);
  }
  child.unref();
  child.stderr.unref();
  const says = JSON.parse(readFileSync(ready, 'utf8'));
  const { environment_url: url, https_url: httpsUrl, ca_file: caFile, client_id: clientId, client_secret: clientSecret, smtp_listen: smtpListen } = says;
  return {
    url,
    httpsUrl,
    caFile,
    port: Number(new URL(url).port),
    clientId,
    clientSecret,
    smtpListen,
    async stop() {
      child.ref();
      child.kill('SIGTERM');
      const code = await ended;
      rmSync(folder, { recursive: true, force: true });
      if (code !== 0) throw new Error(`the server ended with ${code}: ${log}`);
    },
    /** The newest email to an address, waited for. */
    async mailTo(address) {
      const response = await fetch(`${url}/_emulator/v1/messages/latest?to=${encodeURIComponent(address)}`);
      if (!response.ok) throw new Error(`no email to ${address}: ${response.status}`);
      return response.json();
    },
    /** Moves the server's clock on. */
    async moveClock(seconds) {
      const headers = { 'content-type': 'application/json' };
      const response = await fetch(`${url}/_emulator/v1/clock`, { method: 'PUT', headers, body: JSON.stringify({ advance_s: seconds }) });
      if (!response.ok) throw new Error(`the clock does not move: ${response.status}`);
    },
    authorizeUrl(callback, more = {}) {
      const all = { response_type: 'code', client_id: clientId, redirect_uri: callback, scope: 'openid profile email', state: 'st4te', ...more };
      return `${url}/oauth/authorize?${new URLSearchParams(all)}`;
    },
  };
}

/** An application that does nothing but show that it was called back. */
export async function startApplication() {
  const server = createServer((request, response) => {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end('<!doctype html><html lang="en"><title>Application</title><link rel="icon" href="data:,"><h1>Application</h1>');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();
  return {
    callback: `http://localhost:${server.address().port}/auth/callback`,
    stop: () => new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    }),
  };
}

/** A person without a browser: follows redirects by hand and keeps cookies. Returns the callback's URL. */
export async function signInOverHttp(vestibule, authorizeUrl, address) {
  const cookies = new Map();
  const call = async (url, form) => {
    const response = await fetch(url, {
      method: form ? 'POST' : 'GET',
      body: form && new URLSearchParams(form),
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
      redirect: 'manual',
    });
    for (const cookie of response.headers.getSetCookie()) {
      const [name, value] = cookie.split(';')[0].split('=');
      cookies.set(name, value);
    }
    return new URL(response.headers.get('location') ?? url, url);
  };
  const page = await call(authorizeUrl);
  // With a hint the email is on its way already.
  if (!new URL(authorizeUrl).searchParams.has('login_hint')) await call(`${page}/email`, { email: address });
  const { code } = await vestibule.mailTo(address);
  return call(`${page}/code`, { code });
}
