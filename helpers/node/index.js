import { spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { findProgram } from '@vestibule-idp/server';
import { signInOnPages } from './sign-in.js';

// Types and descriptions of everything that is exported are in index.d.ts.

const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 40_000;
const CALL_TIMEOUT_MS = 30_000;
const MESSAGE_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 10_000;
// The server waits no longer than this in one call.
const LONGEST_WAIT_MS = 60_000;
const READY_POLL_MS = 20;
const LOG_TAIL_CHARACTERS = 4_000;
const NO_PROGRAM =
  'No vestibule program was found. Install one with `npm install --save-dev @vestibule-idp/server` or ' +
  '`pip install vestibule-idp`, or set VESTIBULE_BIN to the path of one.';

export class VestibuleError extends Error {
  constructor({ status = 0, code = null, title, detail, errors = [], timeline = [], cause }) {
    const fields = errors.map(({ field, reason }) => `${field}: ${reason}`).join('; ');
    // The detail of the server often has the fields in it already.
    const extra = errors.every(({ reason }) => detail.includes(reason)) ? '' : ` (${fields})`;
    super([`${title}: ${detail}${extra}`, ...timeline].join('\n  '), cause === undefined ? undefined : { cause });
    this.name = 'VestibuleError';
    this.status = status;
    this.code = code;
    this.title = title;
    this.detail = detail;
    this.errors = errors;
    this.timeline = timeline;
  }
}

/** Makes an error of an answer of the control API. One of Scalekit's API, or as OAuth gives it, is read as well. */
function refusal(response, text) {
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    body = undefined;
  }
  if (body === null || typeof body !== 'object') body = {};
  const info = body.details?.[0];
  const violations = info?.validation_error_info?.field_violations ?? [];
  const code = body.error ?? info?.error_code ?? null;
  return new VestibuleError({
    status: response.status,
    code,
    title: body.title ?? code ?? `HTTP ${response.status}`,
    detail: body.detail ?? body.error_description ?? body.message ?? text.slice(0, 500),
    timeline: body.timeline ?? [],
    errors: body.errors ?? violations.map(({ field, description }) => ({ field, reason: description })),
  });
}

/** The control API below one base URL. */
class Control {
  constructor(url, token) {
    this.url = url.replace(/\/+$/, '');
    this.token = token;
  }

  async call(method, path, body, wait_ms = 0) {
    const headers = { accept: 'application/json' };
    if (body !== undefined) headers['content-type'] = 'application/json';
    if (this.token !== undefined) headers.authorization = `Bearer ${this.token}`;
    let response;
    let text;
    try {
      response = await fetch(`${this.url}/_emulator/v1${path}`, {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: AbortSignal.timeout(wait_ms + CALL_TIMEOUT_MS),
      });
      text = await response.text();
    } catch (cause) {
      throw new VestibuleError({
        title: 'No answer',
        detail: `${method} ${this.url}/_emulator/v1${path}: ${cause.cause?.message ?? cause.message}`,
        cause,
      });
    }
    if (!response.ok) throw refusal(response, text);
    if (text === '') return null;
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new VestibuleError({
        status: response.status,
        title: 'Not JSON',
        detail: `${method} ${this.url}/_emulator/v1${path} answered: ${text.slice(0, 500)}`,
        cause,
      });
    }
  }
}

class Clock {
  #control;

  constructor(control) {
    this.#control = control;
  }

  get() {
    return this.#control.call('GET', '/clock');
  }

  advance(seconds) {
    return this.#control.call('PUT', '/clock', { advance_s: seconds });
  }

  set(date) {
    return this.#control.call('PUT', '/clock', { now: date instanceof Date ? date.toISOString() : date });
  }

  freeze() {
    return this.#control.call('PUT', '/clock', { frozen: true });
  }

  resume() {
    return this.#control.call('PUT', '/clock', { frozen: false });
  }

  reset() {
    return this.#control.call('DELETE', '/clock');
  }
}

class Faults {
  #control;

  constructor(control) {
    this.#control = control;
  }

  add(rule) {
    return this.#control.call('POST', '/faults', rule);
  }

  async list() {
    return (await this.#control.call('GET', '/faults')).faults;
  }

  async clear() {
    await this.#control.call('DELETE', '/faults');
  }
}

class Settings {
  #control;

  constructor(control) {
    this.#control = control;
  }

  get() {
    return this.#control.call('GET', '/settings');
  }

  change(changes) {
    return this.#control.call('PATCH', '/settings', changes);
  }
}

export class Environment {
  #control;
  #parent;

  /** Made by `Server.newEnvironment`, `startServer` and `attach`. */
  constructor(control, view, parent) {
    this.#control = control;
    this.#parent = parent;
    this.url = control.url;
    this.name = view.name;
    this.clientId = view.client_id;
    this.clientSecret = view.client_secret;
    this.clock = new Clock(control);
    this.faults = new Faults(control);
    this.settings = new Settings(control);
  }

  call(method, path, body) {
    return this.#control.call(method, path, body);
  }

  env() {
    const variables = {
      SCALEKIT_ENVIRONMENT_URL: this.url,
      SCALEKIT_ENV_URL: this.url,
      SCALEKIT_CLIENT_ID: this.clientId,
    };
    if (this.clientSecret !== null) variables.SCALEKIT_CLIENT_SECRET = this.clientSecret;
    return variables;
  }

  waitForMessage(address, { timeoutMs = MESSAGE_TIMEOUT_MS, since } = {}) {
    return this.#newestMessage(address, timeoutMs, since === undefined ? {} : { since });
  }

  /** The newest email that can be used: not of a sign-in that is over, unless `since` says which. */
  #usableMessage(address, { timeoutMs = MESSAGE_TIMEOUT_MS, since } = {}) {
    return this.#newestMessage(address, timeoutMs, since === undefined ? { unused: 'true' } : { since });
  }

  async #newestMessage(address, timeoutMs, which) {
    const query = new URLSearchParams({ to: address, ...which });
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const left_ms = Math.max(0, Math.ceil(deadline - performance.now()));
      const wait_ms = Math.min(left_ms, LONGEST_WAIT_MS);
      query.set('wait_ms', String(wait_ms));
      try {
        return await this.#control.call('GET', `/messages/latest?${query}`, undefined, wait_ms);
      } catch (error) {
        // Any other 404 is of an environment that is gone: waiting on would not help.
        if (!(error instanceof VestibuleError) || error.code !== 'not_found') throw error;
        if (performance.now() < deadline) continue;
        throw new VestibuleError({
          status: 404,
          code: 'not_found',
          title: 'No email',
          detail:
            `no email to ${address} arrived within ${timeoutMs} ms` + (which.since ? ` after ${which.since}` : ''),
          timeline: error.timeline,
          cause: error,
        });
      }
    }
  }

  async waitForCode(address, options) {
    return part(await this.#usableMessage(address, options), 'code');
  }

  async waitForLink(address, options) {
    return part(await this.#usableMessage(address, options), 'link');
  }

  async inbox(address) {
    const query = new URLSearchParams({ to: address, page_size: '1' });
    const { cursor } = await this.#control.call('GET', `/messages?${query}`);
    return new Inbox(this, address, cursor);
  }

  async eventCursor() {
    return (await this.#control.call('GET', '/events?page_size=1')).cursor;
  }

  async waitForEvent(type, { timeoutMs = MESSAGE_TIMEOUT_MS, since } = {}) {
    const query = new URLSearchParams({ type, page_size: '1' });
    if (since !== undefined) query.set('since', since);
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const left_ms = Math.max(0, Math.ceil(deadline - performance.now()));
      const wait_ms = Math.min(left_ms, LONGEST_WAIT_MS);
      query.set('wait_ms', String(wait_ms));
      const { events } = await this.#control.call('GET', `/events?${query}`, undefined, wait_ms);
      if (events.length > 0) return events[0];
      if (performance.now() < deadline) continue;
      throw new VestibuleError({
        status: 404,
        code: 'not_found',
        title: 'No event',
        detail: `no ${type} happened within ${timeoutMs} ms` + (since === undefined ? '' : ` after ${since}`),
      });
    }
  }

  requests(filter = {}) {
    return this.#control.call('GET', `/requests?${requestQuery(filter)}`);
  }

  async expectRequest(path, { timeoutMs = REQUEST_TIMEOUT_MS, ...filter } = {}) {
    const query = requestQuery({ ...filter, path });
    query.set('page_size', '1');
    const deadline = performance.now() + timeoutMs;
    do {
      const wait_ms = Math.min(Math.max(0, Math.ceil(deadline - performance.now())), LONGEST_WAIT_MS);
      query.set('wait_ms', String(wait_ms));
      const { requests } = await this.#control.call('GET', `/requests?${query}`, undefined, wait_ms);
      if (requests.length > 0) return requests[0];
    } while (performance.now() < deadline);
    const last = (await this.requests()).requests.slice(0, 5);
    const seen = last.map(({ method, path: asked, status }) => `${method} ${asked} ${status ?? 'disconnected'}`);
    throw new VestibuleError({
      status: 404,
      code: 'not_found',
      title: 'No request',
      detail: `no request to ${path} came within ${timeoutMs} ms; the last ones: ${seen.join(', ') || 'none'}`,
    });
  }

  signIn(first, second, options) {
    if (typeof first !== 'string') return signInOnPages(this, first, second, options);
    return this.#signInAtOnce(first, second);
  }

  #signInAtOnce(email, authorizationUrl) {
    return this.#control.call('POST', '/sign-in', { email, authorization_url: String(authorizationUrl) });
  }

  async reset({ keep = [] } = {}) {
    await this.#control.call('POST', '/reset', { keep });
  }

  seed(records) {
    return this.#control.call('POST', '/seed', records);
  }

  async flows(email) {
    const query = new URLSearchParams();
    if (email !== undefined) query.set('email', email);
    const flows = [];
    for (;;) {
      const page = await this.#control.call('GET', `/flows?${query}`);
      flows.push(...page.flows);
      if (!page.next_page_token) return flows;
      query.set('page_token', page.next_page_token);
    }
  }

  async delete() {
    if (this.#parent === undefined) {
      throw new VestibuleError({
        title: 'Not deleted',
        detail: 'the environment of a server goes when the server stops',
      });
    }
    await this.#parent.call('DELETE', `/environments/${encodeURIComponent(this.name)}`);
  }

  async [Symbol.asyncDispose]() {
    try {
      await this.delete();
    } catch (error) {
      // The test may have deleted it.
      if (!(error instanceof VestibuleError) || error.status !== 404) throw error;
    }
  }
}

export class Inbox {
  #environment;

  /** Made by `Environment.inbox`. */
  constructor(environment, address, cursor) {
    this.#environment = environment;
    this.address = address;
    this.cursor = cursor;
  }

  async nextMessage({ timeoutMs } = {}) {
    const message = await this.#environment.waitForMessage(this.address, { timeoutMs, since: this.cursor });
    this.cursor = message.id;
    return message;
  }

  async nextCode(options) {
    return part(await this.nextMessage(options), 'code');
  }

  async nextLink(options) {
    return part(await this.nextMessage(options), 'link');
  }
}

/** The query for requests; what is undefined is left out. */
function requestQuery(filter) {
  return new URLSearchParams(Object.entries(filter).filter(([, value]) => value !== undefined));
}

/** Code or link of an email. */
function part(message, name) {
  const value = message[name];
  if (value === null || value === undefined) {
    throw new VestibuleError({
      title: `No ${name}`,
      detail: `the email ${message.id} to ${message.to} carries no ${name}: see the setting passwordless.type`,
    });
  }
  return value;
}

export class Server extends Environment {
  #control;
  #process;

  /** Made by `startServer` and `attach`. */
  constructor(control, view, process) {
    super(control, view);
    this.#control = control;
    this.#process = process;
  }

  async newEnvironment(options = {}) {
    const view = await this.#control.call('POST', '/environments', options);
    // By path, because many resolvers do not know names below localhost.
    return new Environment(new Control(view.path_url, this.#control.token), view, this.#control);
  }

  async stop() {
    await this.#process?.stop();
  }

  async [Symbol.asyncDispose]() {
    await this.stop();
  }
}

/** A server process with the folder of its ready file and its log. */
class ServerProcess {
  #child;
  #folder;
  #ended;
  #stopped;
  #killAtExit;

  constructor(binary, args, env) {
    this.#folder = mkdtempSync(join(tmpdir(), 'vestibule-testing-'));
    // A file, not a pipe: nothing has to be read for the server to go on, and nothing keeps this process alive.
    const log = openSync(join(this.#folder, 'log'), 'a');
    try {
      this.#child = spawn(
        binary,
        ['--ephemeral', '--listen', 'localhost:0', '--ready-file', join(this.#folder, 'ready.json'), ...args],
        { env: { ...inherited(), ...env }, stdio: ['ignore', log, log], windowsHide: true },
      );
    } catch (error) {
      rmSync(this.#folder, { recursive: true, force: true });
      throw error;
    } finally {
      closeSync(log);
    }
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve({ error }));
      this.#child.once('exit', (code, signal) => resolve({ code, signal }));
    });
    // A test run that forgets to stop must leave no server behind.
    this.#killAtExit = () => {
      this.#child.kill('SIGTERM');
      this.#removeFolder();
    };
    process.once('exit', this.#killAtExit);
  }

  /** What the ready file says, once it is there. */
  async ready(timeoutMs) {
    let end;
    this.#ended.then((how) => {
      end = how;
    });
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      if (end !== undefined) {
        const detail = end.error
          ? notStarted(end.error)
          : `it ended with ${end.code ?? end.signal}\n${this.#logTail()}`;
        this.#forget();
        throw new VestibuleError({ title: 'The server did not start', detail, cause: end.error });
      }
      const ready = this.#readReadyFile();
      if (ready !== undefined) {
        // From here on a server that is not stopped does not keep the test run from ending.
        this.#child.unref();
        return ready;
      }
      if (performance.now() > deadline) {
        this.#child.kill('SIGKILL');
        await this.#ended;
        const detail = `it was not ready within ${timeoutMs} ms\n${this.#logTail()}`;
        this.#forget();
        throw new VestibuleError({ title: 'The server did not start', detail });
      }
      await delay(READY_POLL_MS);
    }
  }

  stop() {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop() {
    this.#child.ref();
    this.#child.kill('SIGTERM');
    const patience = setTimeout(() => this.#child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    const { code, signal } = await this.#ended;
    clearTimeout(patience);
    const log = this.#logTail();
    this.#forget();
    // Windows has no SIGTERM: the process is ended there and then.
    if (code !== 0 && process.platform !== 'win32') {
      throw new VestibuleError({
        title: 'The server did not stop well',
        detail: `it ended with ${code ?? signal}\n${log}`,
      });
    }
  }

  #forget() {
    process.removeListener('exit', this.#killAtExit);
    this.#removeFolder();
  }

  #removeFolder() {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #readReadyFile() {
    try {
      return JSON.parse(readFileSync(join(this.#folder, 'ready.json'), 'utf8'));
    } catch (error) {
      // Not there, or not written to its end.
      if (error.code === 'ENOENT' || error instanceof SyntaxError) return undefined;
      throw error;
    }
  }

  #logTail() {
    return readFileSync(join(this.#folder, 'log'), 'utf8').slice(-LOG_TAIL_CHARACTERS).trim();
  }
}

/** Why a program could not be started. */
function notStarted(error) {
  return error.code === 'ENOENT' && error.path === 'vestibule' ? NO_PROGRAM : error.message;
}

/** The environment of this process without what would configure a server: it is meant for other servers. */
function inherited() {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('VESTIBULE_') && name !== 'DATABASE_URL'),
  );
}

export async function startServer({ binary, args = [], env = {}, timeoutMs = START_TIMEOUT_MS } = {}) {
  // The program that came with this package, before one in PATH that may have another version.
  const program = binary ?? (process.env.VESTIBULE_BIN || findProgram() || 'vestibule');
  const child = new ServerProcess(program, args, env);
  const ready = await child.ready(timeoutMs);
  const view = { name: null, client_id: ready.client_id, client_secret: ready.client_secret };
  return new Server(new Control(ready.environment_url, env.VESTIBULE_CONTROL__TOKEN), view, child);
}

export async function attach(url, { token } = {}) {
  const control = new Control(String(url), token);
  return new Server(control, await control.call('GET', '/environment'));
}
