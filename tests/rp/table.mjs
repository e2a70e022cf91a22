// Writes what the relying parties reported as the table of docs/COMPATIBILITY.md, or checks that it stands there.
//   node tests/rp/table.mjs REPORTS          compare
//   UPDATE_REFERENCE=1 node tests/rp/table.mjs REPORTS
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = process.argv[2];
const document = fileURLToPath(new URL('../../docs/COMPATIBILITY.md', import.meta.url));
const reports = readdirSync(folder).map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')));
reports.sort((a, b) => a.language.localeCompare(b.language) || a.library.localeCompare(b.library));

const row = (cells) => `| ${cells.join(' | ')} |\n`;
let table = row(['relying party', 'language', 'version', 'what it did']) + '|---|---|---|---|\n';
for (const { library, language, version, did } of reports) table += row([library, language, version, did.join(', ')]);

const text = readFileSync(document, 'utf8');
const [, before, found, after] = text.match(/^(.*<!-- generated: relying parties -->\n)(.*?)(<!-- end -->.*)$/s);
if (process.env.UPDATE_REFERENCE) {
  writeFileSync(document, before + table + after);
} else if (found !== table) {
  console.error(`docs/COMPATIBILITY.md is stale: UPDATE_REFERENCE=1 ./scripts/test rp writes it. It should say\n\n${table}`);
  process.exitCode = 1;
}
