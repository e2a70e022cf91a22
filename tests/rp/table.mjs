// Writes what the relying parties reported as the table of docs/COMPATIBILITY.md, or checks that it stands there.
//   node tests/rp/table.mjs REPORTS          compare
//   UPDATE_REFERENCE=1 node tests/rp/table.mjs REPORTS
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { checkGenerated } from '../generated.mjs';

const folder = process.argv[2];
const reports = readdirSync(folder).map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')));
reports.sort((a, b) => a.language.localeCompare(b.language) || a.library.localeCompare(b.library));

const row = (cells) => `| ${cells.join(' | ')} |\n`;
let table = row(['relying party', 'language', 'version', 'what it did']) + '|---|---|---|---|\n';
for (const { library, language, version, did } of reports) table += row([library, language, version, did.join(', ')]);

checkGenerated('relying parties', 'rp', table);
