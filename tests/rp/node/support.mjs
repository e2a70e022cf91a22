// What the relying parties of this folder have in common: a server, and what came of them for the table in the docs.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { signInOverHttp } from '../../e2e/support/server.mjs';

export { signInOverHttp, startVestibule } from '../../e2e/support/server.mjs';

/** Notes what a library did, for tests/rp/table.mjs. */
export function report(library, language, did) {
  const folder = process.env.VESTIBULE_RP_REPORT;
  if (!folder) return;
  const { version } = JSON.parse(readFileSync(new URL(`node_modules/${library}/package.json`, import.meta.url)));
  mkdirSync(folder, { recursive: true });
  const name = `${library.replaceAll('/', '-')}.json`;
  writeFileSync(join(folder, name), JSON.stringify({ library, language, version, did }));
}

/** The next ID token and access token are spoilt: the library has to notice. */
export async function spoilTokens(vestibule, fault) {
  const response = await fetch(`${vestibule.url}/_emulator/v1/faults`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ count: 1, effect: { kind: 'token', fault } }),
  });
  if (!response.ok) throw new Error(`no fault: ${response.status}`);
}

/** A browser at an application that keeps its own cookies. */
export class Visitor {
  #cookies = new Map();
  #fetch;

  constructor(fetchIt = fetch) {
    this.#fetch = fetchIt;
  }

  async open(url, { form } = {}) {
    const response = await this.#fetch(new Request(url, {
      method: form ? 'POST' : 'GET',
      body: form && new URLSearchParams(form),
      headers: { cookie: [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
      redirect: 'manual',
    }));
    for (const cookie of response.headers.getSetCookie()) {
      const [pair] = cookie.split(';');
      const at = pair.indexOf('=');
      this.#cookies.set(pair.slice(0, at), pair.slice(at + 1));
    }
    return response;
  }

  /** Signs in at the server that a redirect leads to, and comes back. */
  async signIn(vestibule, redirect, address) {
    const callback = await signInOverHttp(vestibule, redirect.headers.get('location'), address);
    return this.open(callback);
  }
}
