import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { VestibuleError, attach, startServer } from '@vestibule-idp/testing';

const run = promisify(execFile);
const FOLDER = fileURLToPath(new URL('..', import.meta.url));

/** Runs a module in a process of its own, in this package's folder. */
function runModule(code, env = {}) {
  return run(process.execPath, ['--input-type=module', '--eval', code], {
    cwd: FOLDER,
    env: { ...process.env, ...env },
    timeout: 60_000,
  });
}

/** A program to start in place of the server. */
async function standIn(t, code) {
  const folder = await mkdtemp(join(tmpdir(), 'vestibule-test-'));
  t.after(() => rm(folder, { recursive: true }));
  const program = join(folder, 'stand-in');
  await writeFile(program, `#!${process.execPath}\n${code}\n`, { mode: 0o755 });
  return program;
}

describe('a server', { concurrency: true }, () => {
  it('stops, and may be stopped again', async () => {
    const server = await startServer();
    assert.equal((await server.clock.get()).ahead_s, 0);
    await Promise.all([server.stop(), server.stop()]);
    await server[Symbol.asyncDispose]();
    await assert.rejects(server.clock.get(), (error) => {
      assert.ok(error instanceof VestibuleError);
      assert.equal(error.status, 0);
      assert.equal(error.title, 'No answer');
      assert.match(error.message, /GET http.*\/clock: .*ECONNREFUSED/);
      return true;
    });
  });

  it('takes arguments and variables', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'vestibule-test-'));
    t.after(() => rm(folder, { recursive: true }));
    const config = join(folder, 'vestibule.toml');
    await writeFile(config, 'client_id = "skc_of_the_file"\nclient_secret = "test_of_the_file"\n');
    const server = await startServer({
      args: ['--config', config],
      env: { VESTIBULE_PASSWORDLESS__VALIDITY_S: '120' },
    });
    t.after(() => server.stop());
    assert.equal(server.clientId, 'skc_of_the_file');
    assert.equal((await server.settings.get()).passwordless.validity_s, 120);
  });

  it('is not configured by the variables of the test run', async () => {
    const code = `
      import { startServer } from '@vestibule-idp/testing';
      const server = await startServer();
      console.log((await server.settings.get()).passwordless.validity_s);
      await server.stop();`;
    const { stdout } = await runModule(code, {
      VESTIBULE_PASSWORDLESS__VALIDITY_S: '120',
      VESTIBULE_OF_ANOTHER_PROGRAM: 'x',
      DATABASE_URL: 'postgres://nowhere.invalid/none',
    });
    assert.equal(stdout, '300\n');
  });

  it('says why it does not start', async () => {
    await assert.rejects(startServer({ args: ['--no-such-flag'] }), (error) => {
      assert.ok(error instanceof VestibuleError);
      assert.equal(error.status, 0);
      assert.match(error.detail, /--no-such-flag/);
      return true;
    });
    await assert.rejects(startServer({ binary: '/nonexistent/vestibule' }), {
      name: 'VestibuleError',
      message: /\/nonexistent\/vestibule/,
    });
    await assert.rejects(startServer({ env: { VESTIBULE_NO_SUCH_SETTING: '1' } }), /no_such_setting/i);
  });

  it('says how to get a program where there is none', async () => {
    const code = `
      import { startServer } from '@vestibule-idp/testing';
      await startServer().catch((error) => console.log(error.message));`;
    const { stdout } = await runModule(code, { VESTIBULE_BIN: '', PATH: '/nonexistent' });
    assert.equal(
      stdout,
      'The server did not start: No vestibule program was found. Install one with ' +
        '`npm install --save-dev @vestibule-idp/server` or `pip install vestibule-idp`, or set VESTIBULE_BIN to the ' +
        'path of one.\n',
    );
  });

  it('is given up when it is never ready', async (t) => {
    const binary = await standIn(t, 'setInterval(() => {}, 1000);');
    await assert.rejects(startServer({ binary, timeoutMs: 200 }), /not ready within 200 ms/);
  });

  it('ends with a test run that forgets it, and leaves nothing behind', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'vestibule-test-'));
    t.after(() => rm(folder, { recursive: true }));
    const code = `
      import { startServer } from '@vestibule-idp/testing';
      const server = await startServer();
      await server.newEnvironment();
      console.log(server.url);`;
    const { stdout } = await runModule(code, { TMPDIR: folder });
    const url = stdout.trim();
    const deadline = Date.now() + 30_000;
    let left;
    do {
      left = [
        ...(await readdir(folder)),
        ...(await fetch(`${url}/health`).then(
          () => [url],
          () => [],
        )),
      ];
    } while (left.length > 0 && Date.now() < deadline);
    assert.deepEqual(left, []);
  });

  it('reports an end that is not a good one', async (t) => {
    const ready = { environment_url: 'http://127.0.0.1:9', client_id: 'skc_1', client_secret: 'test_1' };
    const binary = await standIn(
      t,
      `process.on('SIGTERM', () => {
        console.error('the database is on fire');
        process.exit(3);
      });
      setInterval(() => {}, 1000);
      const file = process.argv[process.argv.indexOf('--ready-file') + 1];
      require('node:fs').writeFileSync(file, ${JSON.stringify(JSON.stringify(ready))});`,
    );
    const server = await startServer({ binary });
    assert.equal(server.clientId, 'skc_1');
    await assert.rejects(server.stop(), { status: 0, detail: /ended with 3\nthe database is on fire/ });
  });
});

describe('attaching', { concurrency: true }, () => {
  it('fails where nothing answers', async () => {
    const closed = createServer();
    await new Promise((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const { port } = closed.address();
    await new Promise((resolve) => closed.close(resolve));
    await assert.rejects(attach(`http://127.0.0.1:${port}`), { name: 'VestibuleError', status: 0 });
  });

  it('fails at another kind of server', async (t) => {
    const other = createServer((request, response) => response.end('<p>hello</p>'));
    await new Promise((resolve) => other.listen(0, '127.0.0.1', resolve));
    t.after(() => other.close());
    await assert.rejects(attach(`http://127.0.0.1:${other.address().port}`), { title: 'Not JSON', status: 200 });
  });

  it('sends the token, to environments too', async (t) => {
    const calls = [];
    const guarded = createServer((request, response) => {
      calls.push(`${request.method} ${request.url} ${request.headers.authorization}`);
      const url = `http://127.0.0.1:${guarded.address().port}`;
      if (request.headers.authorization !== 'Bearer of-the-test') {
        response.writeHead(401, { 'content-type': 'application/problem+json' });
        response.end('{"error":"unauthorized","title":"Not allowed","status":401,"detail":"a token is needed"}');
      } else {
        response.end(`{"name":"made","path_url":"${url}/e/made","client_id":"skc_1","client_secret":null}`);
      }
    });
    await new Promise((resolve) => guarded.listen(0, '127.0.0.1', resolve));
    t.after(() => guarded.close());
    const url = `http://127.0.0.1:${guarded.address().port}`;

    await assert.rejects(attach(url), { status: 401, title: 'Not allowed', detail: 'a token is needed' });
    const environment = await (await attach(url, { token: 'of-the-test' })).newEnvironment();
    assert.equal(environment.clientSecret, null);
    await environment.delete();
    assert.deepEqual(calls, [
      'GET /_emulator/v1/environment undefined',
      'GET /_emulator/v1/environment Bearer of-the-test',
      'POST /_emulator/v1/environments Bearer of-the-test',
      'DELETE /_emulator/v1/environments/made Bearer of-the-test',
    ]);
  });
});

it('waiting goes on beyond what the server waits in one call', async (t) => {
  const waits = [];
  const slow = createServer((request, response) => {
    if (request.url.includes('/messages/latest')) waits.push(request.url);
    if (waits.length === 1) {
      response.writeHead(404, { 'content-type': 'application/problem+json' });
      response.end('{"error":"not_found","title":"Not found","status":404,"detail":"no such email arrived in time"}');
    } else {
      response.end('{"name":null,"client_id":"skc_1","client_secret":"test_1","id":"msg_1","code":"123456"}');
    }
  });
  await new Promise((resolve) => slow.listen(0, '127.0.0.1', resolve));
  t.after(() => slow.close());
  const server = await attach(`http://127.0.0.1:${slow.address().port}`);
  assert.equal(await server.waitForCode('ada@example.com', { timeoutMs: 90_000 }), '123456');
  assert.deepEqual(
    waits,
    Array(2).fill('/_emulator/v1/messages/latest?to=ada%40example.com&unused=true&wait_ms=60000'),
  );
});
