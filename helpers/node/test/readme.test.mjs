import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

it('the first sample of the README runs as it stands', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  const [, sample] = /```js\n(.*?)```/s.exec(readme);
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', sample], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    timeout: 60_000,
  });
  assert.match(stdout, /^http:\/\/localhost:3000\/callback\?code=[\w-]+&state=state-1&/);
});
