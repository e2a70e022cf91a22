import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startServer } from '@vestibule-idp/testing';
import { vestibuleFixtures } from '@vestibule-idp/testing/playwright';

async function runPlaywright(args, variables = {}) {
  // The runner of this test must not be taken for the runner of the example.
  const { NODE_TEST_CONTEXT, ...env } = process.env;
  const { stdout } = await promisify(execFile)('npx', ['playwright', 'test', ...args], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    env: { ...env, ...variables },
  });
  return stdout;
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

describe('the Playwright fixtures', { concurrency: true }, () => {
  const skip = existsSync('/usr/bin/chromium') ? false : 'there is no /usr/bin/chromium';
  it('serve the example', { skip }, async () => {
    assert.match(await runPlaywright(['--config', 'examples/playwright']), /9 passed/);
  });

  it('serve an application that the configuration starts', { skip }, async (t) => {
    // Its own, because Playwright empties it, and the other example runs meanwhile.
    const output = await mkdtemp(join(tmpdir(), 'vestibule-playwright-'));
    t.after(() => rm(output, { recursive: true, force: true }));
    const config = ['--config', 'examples/web-server', '--output', output];
    // Two workers, which share the server.
    const args = [...config, '--workers', '2', '--fully-parallel', '--reporter', 'list'];
    assert.match(await runPlaywright(args, { PORT: String(await freePort()) }), /using 2 workers.*2 passed/s);
  });

  it('attach to a server that runs, which goes on', async () => {
    const running = await startServer();
    const fixtures = vestibuleFixtures({ extend: (extension) => extension });
    const [makeServer, { scope }] = fixtures.vestibuleServer;
    assert.equal(scope, 'worker');

    let environment;
    await makeServer({ vestibuleServerOptions: { url: running.url } }, async (vestibuleServer) => {
      assert.equal(vestibuleServer.url, running.url);
      const vestibuleOptions = { name: 'of-a-test' };
      await fixtures.vestibule({ vestibuleServer, vestibuleOptions }, async (vestibule) => {
        assert.equal(vestibule.name, 'of-a-test');
        environment = vestibule;
        await vestibule.clock.get();
      });
    });
    await assert.rejects(environment.clock.get(), { status: 404 });
    await running.clock.get();
    await running.stop();
  });
});
