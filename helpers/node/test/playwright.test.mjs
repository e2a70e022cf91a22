import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startServer } from '@vestibule-idp/testing';
import { vestibuleFixtures } from '@vestibule-idp/testing/playwright';

describe('the Playwright fixtures', { concurrency: true }, () => {
  const skip = existsSync('/usr/bin/chromium') ? false : 'there is no /usr/bin/chromium';
  it('serve the example', { skip }, async () => {
    // The runner of this test must not be taken for the runner of the example.
    const { NODE_TEST_CONTEXT, ...env } = process.env;
    const { stdout } = await promisify(execFile)('npx', ['playwright', 'test', '--config', 'examples/playwright'], {
      cwd: fileURLToPath(new URL('..', import.meta.url)),
      env,
    });
    assert.match(stdout, /9 passed/);
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
