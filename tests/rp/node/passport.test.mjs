// npm passport with passport-openidconnect in an Express application, unmodified.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import express from 'express';
import session from 'express-session';
import passport from 'passport';
import OpenIDConnectStrategy from 'passport-openidconnect';
import { Visitor, report, spoilTokens, startVestibule } from './support.mjs';

let vestibule;
let server;
let home;

before(async () => {
  vestibule = await startVestibule();
  const application = express();
  server = application.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  home = `http://localhost:${server.address().port}`;
  passport.use(new OpenIDConnectStrategy({
    issuer: vestibule.url,
    authorizationURL: `${vestibule.url}/oauth/authorize`,
    tokenURL: `${vestibule.url}/oauth/token`,
    userInfoURL: `${vestibule.url}/userinfo`,
    clientID: vestibule.clientId,
    clientSecret: vestibule.clientSecret,
    callbackURL: `${home}/callback`,
    scope: 'profile email',
    nonce: true,
  }, (issuer, profile, done) => done(null, { issuer, id: profile.id, email: profile.emails?.[0]?.value })));
  passport.serializeUser((user, done) => done(null, user));
  passport.deserializeUser((user, done) => done(null, user));
  application.use(session({ secret: 'of the test', resave: false, saveUninitialized: false }));
  application.use(passport.session());
  application.get('/login', passport.authenticate('openidconnect'));
  application.get('/callback', passport.authenticate('openidconnect', { successRedirect: '/me', failureRedirect: '/failed' }));
  application.get('/me', (request, response) => response.json(request.user ?? null));
});
after(async () => {
  server?.close();
  server?.closeAllConnections();
  await vestibule?.stop();
});

test('passport signs a person in and knows who it is', async () => {
  const visitor = new Visitor();
  assert.equal(await (await visitor.open(`${home}/me`)).json(), null);
  const redirect = await visitor.open(`${home}/login`);
  assert.ok(new URL(redirect.headers.get('location')).searchParams.get('nonce'));
  const back = await visitor.signIn(vestibule, redirect, 'jane@example.com');
  assert.equal(back.headers.get('location'), '/me');
  const me = await (await visitor.open(`${home}/me`)).json();
  assert.deepEqual([me.issuer, me.email], [vestibule.url, 'jane@example.com']);
  // A callback that no login asked for is refused.
  const forged = await new Visitor().open(`${home}/callback?code=x&state=y`);
  assert.notEqual(forged.headers.get('location'), '/me');
  await spoilTokens(vestibule, 'wrong_issuer');
  const eve = new Visitor();
  const refused = await eve.signIn(vestibule, await eve.open(`${home}/login`), 'eve@example.com');
  assert.notEqual(refused.headers.get('location'), '/me');
  assert.equal(await (await eve.open(`${home}/me`)).json(), null);
  report('passport-openidconnect', 'JavaScript', ['code', 'state', 'nonce', 'UserInfo', 'refuses a wrong issuer']);
});
