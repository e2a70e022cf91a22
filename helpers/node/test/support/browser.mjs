import assert from 'node:assert/strict';

export const CALLBACK_URL = 'http://localhost:9/callback';

/** The URL that an application sends browsers to. */
export function authorizationUrl(environment, email) {
  const query = new URLSearchParams({
    client_id: environment.clientId,
    response_type: 'code',
    redirect_uri: CALLBACK_URL,
    scope: 'openid email',
    state: 'state-1',
    ...(email === undefined ? {} : { login_hint: email }),
  });
  return `${environment.url}/oauth/authorize?${query}`;
}

/** What the token endpoint answers for an authorization code. */
export function exchange(environment, code) {
  return fetch(`${environment.url}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      code,
      redirect_uri: CALLBACK_URL,
      client_id: environment.clientId,
      client_secret: environment.clientSecret,
    }),
  });
}

/** The claims of a token, unchecked. */
export function claims(token) {
  return JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());
}

/** As much of a browser as a sign-in needs: cookies, redirects, forms. */
export class Browser {
  #cookies = new Map();
  /** Where it is. */
  url;
  /** What it shows; undefined at the application's callback. */
  html;

  /** Opens a URL and follows redirects, as far as the callback. */
  async open(url, form) {
    let next = { url, form };
    for (;;) {
      this.url = next.url;
      if (next.url.startsWith(CALLBACK_URL)) {
        this.html = undefined;
        return this;
      }
      const response = await fetch(next.url, {
        method: next.form === undefined ? 'GET' : 'POST',
        body: next.form === undefined ? undefined : new URLSearchParams(next.form),
        headers: { cookie: [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
        redirect: 'manual',
      });
      this.html = await response.text();
      for (const cookie of response.headers.getSetCookie()) {
        const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
        this.#cookies.set(name, value);
      }
      if (response.status !== 303 && response.status !== 302) return this;
      next = { url: new URL(response.headers.get('location'), next.url).href };
    }
  }

  /** Sends the form whose action ends so. */
  submit(action, form) {
    const [, path] = new RegExp(`<form method="post" action="([^"]*${action})"`).exec(this.html) ?? [];
    assert.ok(path, `no form ${action} in ${this.html}`);
    return this.open(new URL(path, this.url).href, form);
  }

  /** The parameters of the callback it is at. */
  get callback() {
    assert.equal(this.html, undefined, `not at the callback but at ${this.url}: ${this.html}`);
    return Object.fromEntries(new URL(this.url).searchParams);
  }
}
