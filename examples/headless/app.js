import { randomBytes } from 'node:crypto';
import { ScalekitClient } from '@scalekit-sdk/node';
import escapeHtml from 'escape-html';
import express from 'express';
import session from 'express-session';

const port = process.env.PORT ?? 3000;
const home = process.env.APP_URL ?? `http://localhost:${port}`;

// Scalekit, or Vestibule in its place: only these variables decide.
const { passwordless } = new ScalekitClient(
  process.env.SCALEKIT_ENVIRONMENT_URL,
  process.env.SCALEKIT_CLIENT_ID,
  process.env.SCALEKIT_CLIENT_SECRET,
);

const emailForm = `<form method="post" action="/email">
  <label>Email address <input name="email" type="email" required></label> <button>Continue</button></form>`;
const codeForm = `<form method="post" action="/code">
  <label>Code <input name="code" inputmode="numeric" autocomplete="one-time-code" required></label>
  <button>Continue</button></form>`;
const signedIn = (email) => `<p>Signed in as ${escapeHtml(email)}</p>
  <form method="post" action="/logout"><button>Sign out</button></form>`;

const app = express();
app.use(express.urlencoded());
app.use(
  session({
    secret: process.env.SESSION_SECRET ?? randomBytes(32).toString('hex'),
    resave: false,
    saveUninitialized: false,
    cookie: { sameSite: 'lax', secure: home.startsWith('https:') },
  }),
);

app.get('/', ({ session }, response) => response.send(session.email ? signedIn(session.email) : emailForm));

app.post('/email', async ({ body, session }, response) => {
  const sent = await passwordless.sendPasswordlessEmail(body.email, { magiclinkAuthUri: `${home}/link` });
  // Kept in the session: the code and the link work in this browser alone.
  session.authRequestId = sent.authRequestId;
  response.send(codeForm);
});

app.post('/code', (request, response) => verify({ code: request.body.code }, request, response));
app.get('/link', (request, response) => verify({ linkToken: request.query.link_token }, request, response));

async function verify(credential, request, response) {
  const { authRequestId } = request.session;
  if (!authRequestId) return response.status(400).send(`<p>This sign-in did not begin here.</p>${emailForm}`);
  try {
    const { email } = await passwordless.verifyPasswordlessEmail(credential, authRequestId);
    // A new session id: nobody can have planted it before the sign-in.
    request.session.regenerate(() => {
      request.session.email = email;
      response.redirect('/');
    });
  } catch (error) {
    response.status(400).send(`<p>${escapeHtml(error.message)}</p>${codeForm}<p><a href="/">Start again</a></p>`);
  }
}

app.post('/logout', ({ session }, response) => session.destroy(() => response.redirect('/')));

app.listen(port, 'localhost', () => console.log(`Listening on ${home}`));
