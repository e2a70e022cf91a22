import { randomBytes, randomUUID } from 'node:crypto';
import { ScalekitClient } from '@scalekit-sdk/node';
import escapeHtml from 'escape-html';
import express from 'express';
import session from 'express-session';

const port = process.env.PORT ?? 3000;
const home = process.env.APP_URL ?? `http://localhost:${port}`;
const callback = `${home}/auth/callback`;

// Scalekit, or Vestibule in its place: only these variables decide.
const scalekit = new ScalekitClient(
  process.env.SCALEKIT_ENVIRONMENT_URL,
  process.env.SCALEKIT_CLIENT_ID,
  process.env.SCALEKIT_CLIENT_SECRET,
);

const app = express();
app.use(
  session({
    secret: process.env.SESSION_SECRET ?? randomBytes(32).toString('hex'),
    resave: false,
    saveUninitialized: false,
    cookie: { sameSite: 'lax', secure: home.startsWith('https:') },
  }),
);

app.get('/', ({ session }, response) => {
  response.send(
    session.email
      ? `<p>Signed in as ${escapeHtml(session.email)}</p>
         <form method="post" action="/logout"><button>Sign out</button></form>`
      : '<a href="/login">Sign in</a>',
  );
});

app.get('/login', ({ session }, response) => {
  session.state = randomUUID();
  response.redirect(scalekit.getAuthorizationUrl(callback, { state: session.state }));
});

app.get('/auth/callback', async (request, response) => {
  const { code, state, error_description: problem } = request.query;
  // Without this check, somebody else's sign-in could be slipped to this browser.
  if (!state || state !== request.session.state) return response.status(400).send('This sign-in did not begin here.');
  if (!code) return response.status(400).send(escapeHtml(problem ?? 'The sign-in failed.'));

  const { user, idToken } = await scalekit.authenticateWithCode(code, callback);
  // A new session id: nobody can have planted it before the sign-in.
  request.session.regenerate(() => {
    Object.assign(request.session, { email: user.email, idToken });
    response.redirect('/');
  });
});

app.post('/logout', ({ session }, response) => {
  const { idToken: idTokenHint } = session;
  session.destroy(() => response.redirect(scalekit.getLogoutUrl({ idTokenHint, postLogoutRedirectUri: home })));
});

app.listen(port, 'localhost', () => console.log(`Listening on ${home}`));
