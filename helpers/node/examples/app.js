import { createServer } from 'node:http';

/**
 * A small application with a sign-in, to have something to test. Yours takes its place.
 *
 * @param {{ url: string, clientId: string, clientSecret: string | null }} provider
 * @param {number} [port] a free one, when left out
 * @returns {Promise<{ url: string, close: () => Promise<void> }>}
 */
export async function startApp(provider, port = 0) {
  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', url);
    if (pathname === '/login') {
      const query = new URLSearchParams({
        client_id: provider.clientId,
        response_type: 'code',
        redirect_uri: `${url}/callback`,
        scope: 'openid email',
        state: 'state-1',
        ...Object.fromEntries(searchParams), // such as `login_hint`
      });
      response.writeHead(303, { location: `${provider.url}/oauth/authorize?${query}` }).end();
    } else if (pathname === '/callback') {
      const answer = await fetch(`${provider.url}/oauth/token`, {
        method: 'POST',
        body: new URLSearchParams({
          grant_type: 'authorization_code',
          code: searchParams.get('code') ?? '',
          redirect_uri: `${url}/callback`,
          client_id: provider.clientId,
          client_secret: provider.clientSecret ?? '',
        }),
      });
      // A real application verifies the token; its SDK does that.
      const { id_token = '.e30' } = await answer.json();
      const { email } = JSON.parse(Buffer.from(id_token.split('.')[1], 'base64url').toString());
      response.writeHead(answer.status, { 'content-type': 'text/html' });
      response.end(answer.ok ? `<h1>Welcome</h1><p>${email}</p>` : '<h1>Sign-in failed</h1>');
    } else {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<a href="/login">Sign in</a>');
    }
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(undefined)));
  const address = /** @type {import('node:net').AddressInfo} */ (server.address());
  const url = `http://localhost:${address.port}`;
  return {
    url,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
