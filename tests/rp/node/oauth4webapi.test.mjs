// npm oauth4webapi, unmodified, with a pushed authorization request.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import * as oauth from 'oauth4webapi';
import { report, signInOverHttp, spoilTokens, startVestibule } from './support.mjs';

const callback = 'http://localhost:3000/auth/callback';
const insecure = { [oauth.allowInsecureRequests]: true };
let vestibule;
let as;
let client;
let authentication;

before(async () => {
  vestibule = await startVestibule();
  const issuer = new URL(vestibule.url);
  as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, insecure));
  client = { client_id: vestibule.clientId };
  authentication = oauth.ClientSecretBasic(vestibule.clientSecret);
});
after(() => vestibule?.stop());

async function signIn(address) {
  const verifier = oauth.generateRandomCodeVerifier();
  const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()];
  const pushed = await oauth.pushedAuthorizationRequest(as, client, authentication, {
    response_type: 'code',
    redirect_uri: callback,
    scope: 'openid email offline_access',
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
  }, insecure);
  const { request_uri: requestUri } = await oauth.processPushedAuthorizationResponse(as, client, pushed);
  const url = new URL(as.authorization_endpoint);
  url.search = new URLSearchParams({ client_id: client.client_id, request_uri: requestUri });
  const back = await signInOverHttp(vestibule, url, address);
  const parameters = oauth.validateAuthResponse(as, client, back, state);
  const response = await oauth.authorizationCodeGrantRequest(as, client, authentication, parameters, callback, verifier, insecure);
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: nonce, requireIdToken: true });
  await oauth.validateApplicationLevelSignature(as, response, insecure);
  return tokens;
}

test('oauth4webapi signs a person in by a pushed request and believes the signature', async () => {
  const tokens = await signIn('jane@example.com');
  const { sub } = oauth.getValidatedIdTokenClaims(tokens);
  const told = await oauth.userInfoRequest(as, client, tokens.access_token, insecure);
  assert.equal((await oauth.processUserInfoResponse(as, client, sub, told)).email, 'jane@example.com');
  const refreshed = await oauth.refreshTokenGrantRequest(as, client, authentication, tokens.refresh_token, insecure);
  assert.ok((await oauth.processRefreshTokenResponse(as, client, refreshed)).refresh_token);
  await spoilTokens(vestibule, 'bad_signature');
  await assert.rejects(signIn('eve@example.com'), /signature/);
  report('oauth4webapi', 'JavaScript', ['discovery', 'PAR', 'PKCE', 'nonce', 'UserInfo', 'refresh', 'refuses a bad signature']);
});
