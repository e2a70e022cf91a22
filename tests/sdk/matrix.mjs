// Writes what the SDK suites reported as the table of docs/COMPATIBILITY.md, or checks that it stands there.
//   node tests/sdk/matrix.mjs REPORTS          compare
//   UPDATE_REFERENCE=1 node tests/sdk/matrix.mjs REPORTS
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { checkGenerated } from '../generated.mjs';

const scenarios = [
  ['client_token', 'client token'],
  ['sign_in', 'authorization URL, hosted sign-in, code exchange'],
  ['sign_in_pkce', 'the same with PKCE'],
  ['refresh', 'refresh token rotation'],
  ['validate', 'token validation'],
  ['logout_url', 'logout URL'],
  ['headless_code', 'headless: send, resend, verify by code'],
  ['headless_link', 'headless: verify by link'],
  ['wrong_code', 'wrong code: exception and error code'],
  ['expired_code', 'expired code'],
  ['too_many_attempts', 'too many attempts'],
  ['unknown_request', 'unknown auth request'],
  ['not_emulated', 'a method that is not emulated'],
  ['management', 'organization, invited member, roles in tokens, sessions, machine client'],
  ['concurrent', 'twenty calls at once'],
  ['restart', 'a restart between two calls'],
];

const folder = process.argv[2];
const reports = readdirSync(folder).filter((name) => name.endsWith('.json')).map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')));

// One column for a version; its transports stand in the head.
const columns = new Map();
for (const { sdk, version, transport, results } of reports) {
  const name = `${sdk} ${version}`;
  const column = columns.get(name) ?? { transports: [], outcomes: {} };
  column.transports.push(transport);
  for (const [id] of scenarios) (column.outcomes[id] ??= []).push(results[id] ?? 'fail');
  columns.set(name, column);
}
const collator = new Intl.Collator('en', { numeric: true });
const names = [...columns.keys()].sort((a, b) => collator.compare(a, b));

const cell = (outcomes) => {
  if (outcomes.includes('fail')) return 'fails';
  return outcomes.includes('pass') ? 'yes' : 'n/a';
};
const row = (cells) => `| ${cells.join(' | ')} |\n`;
const head = names.map((name) => `${name}<br>${columns.get(name).transports.sort().join(', ')}`);
let table = row(['', ...head]) + row(['', ...names].map(() => '---')).replaceAll(' ', '');
for (const [id, text] of scenarios) table += row([text, ...names.map((name) => cell(columns.get(name).outcomes[id]))]);

checkGenerated('sdk matrix', 'sdk', table);
