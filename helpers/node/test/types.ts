// Checked by the compiler alone: what users write has to have types, and mistakes have to be found.
import { defineConfig, test as base } from '@playwright/test';
import {
  attach,
  startServer,
  VestibuleError,
  type FieldError,
  type Inbox,
  type Message,
  type RecordedRequest,
  type Server,
} from '@vestibule-idp/testing';
import {
  vestibuleFixtures,
  type VestibuleTestFixtures,
  type VestibuleWorkerFixtures,
} from '@vestibule-idp/testing/playwright';

export async function use(): Promise<void> {
  await using server: Server = await startServer({ binary: 'vestibule', args: [], env: { RUST_LOG: 'info' } });
  await using vestibule = await server.newEnvironment({
    name: 'types',
    clock: { frozen: true },
    redirect_uris: ['https://app.example.com/callback'],
    seed: { users: [{ email: 'ada@example.com' }] },
  });
  const message: Message = await vestibule.waitForMessage('ada@example.com', { timeoutMs: 1, since: 'msg_1' });
  const inbox: Inbox = await vestibule.inbox('ada@example.com');
  const code: string = await vestibule.waitForCode('ada@example.com', { since: inbox.cursor });
  const next: string = (await inbox.nextCode({ timeoutMs: 1 })) + (await inbox.nextLink()) + message.id;
  next.concat((await inbox.nextMessage()).id);
  const happened = await vestibule.waitForEvent('user.signup', { since: await vestibule.eventCursor(), timeoutMs: 1 });
  happened.id.concat(happened.data.user.email);
  const { callback_url } = await vestibule.signIn('ada@example.com', new URL(vestibule.url));
  callback_url.concat(code);
  const { SCALEKIT_CLIENT_ID: clientId } = vestibule.env();
  next.concat(clientId);
  const { cursor } = await vestibule.requests({ path: '/oauth/*' });
  const asked: RecordedRequest = await vestibule.expectRequest('/oauth/token', { since: cursor, timeoutMs: 1 });
  next.concat(asked.parameters.grant_type ?? '');
  await vestibule.faults.add({ match: { to: '*@acme.test' }, effect: { kind: 'sign_in', outcome: 'denied' } });
  await vestibule.clock.set(new Date());
  const ahead_s: number = (await vestibule.clock.advance(5)).ahead_s;
  ahead_s.toFixed();
  await vestibule.faults.add({ match: { path: '/oauth/*' }, effect: { kind: 'status', status: 503 } });
  await vestibule.reset({ keep: ['settings'] });

  // @ts-expect-error: an effect has a status.
  await vestibule.faults.add({ effect: { kind: 'status' } });
  // @ts-expect-error: emails are not kept.
  await vestibule.reset({ keep: ['messages'] });
  // @ts-expect-error: seconds are a number.
  await vestibule.clock.advance('5');
  // @ts-expect-error: options have the server's names.
  await server.newEnvironment({ instantSignIn: true });
  // @ts-expect-error: made by the functions alone.
  new Server();

  try {
    await attach('http://localhost:6870', { token: 'token' });
  } catch (error) {
    if (!(error instanceof VestibuleError)) throw error;
    const fields: FieldError[] = error.errors;
    const status: number = error.status;
    fields.at(status);
  }
}

export const test = vestibuleFixtures(base).extend<{ extra: string }>({
  extra: async ({ vestibule, vestibuleServer, page }, use) => {
    await page.goto(vestibule.url);
    await vestibule.signIn(page, 'ada@example.com', { organization: 'Acme', timeoutMs: 1 });
    await use(vestibuleServer.clientId);
  },
});
export default defineConfig<VestibuleTestFixtures, VestibuleWorkerFixtures>({
  use: { vestibuleServerOptions: { url: 'http://localhost:6870' } },
});
test.use({ vestibuleOptions: { instant_sign_in: true }, vestibuleServerOptions: { url: 'http://localhost:6870' } });
// @ts-expect-error: no such option.
test.use({ vestibuleOptions: { instant: true } });
