// The parts of documents that the tests write.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * Compares the part of docs/COMPATIBILITY.md between `<!-- generated: NAME -->` and `<!-- end -->` with a table, or
 * writes it there where UPDATE_REFERENCE is set. `part` is the part of `./scripts/test` that does so.
 */
export function checkGenerated(name, part, table) {
  const document = fileURLToPath(new URL('../docs/COMPATIBILITY.md', import.meta.url));
  const text = readFileSync(document, 'utf8');
  const [, before, found, after] = text.match(new RegExp(`^(.*<!-- generated: ${name} -->\\n)(.*?)(<!-- end -->.*)$`, 's'));
  if (process.env.UPDATE_REFERENCE) {
    writeFileSync(document, before + table + after);
  } else if (found !== table) {
    console.error(`docs/COMPATIBILITY.md is stale: UPDATE_REFERENCE=1 ./scripts/test ${part} writes it. It should say\n\n${table}`);
    process.exitCode = 1;
  }
}
