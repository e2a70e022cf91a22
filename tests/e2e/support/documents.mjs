// Samples of the documentation that tests run: fenced blocks behind `<!-- run: FILE OF THE TEST -->`.
import { readFileSync } from 'node:fs';

/** The samples of a document that a test runs: `{ language, text }`. `name` is from the root of the repository. */
export function samples(name, test) {
  const text = readFileSync(new URL(`../../../${name}`, import.meta.url), 'utf8');
  const marked = text.matchAll(/<!-- run: (\S+) -->\n```(\w+)\n([\s\S]*?)```\n/g);
  return [...marked].filter(([, file]) => file === test).map(([, , language, sample]) => ({ language, text: sample }));
}

/** Those of one language. */
export const samplesIn = (language, name, test) => samples(name, test).filter((one) => one.language === language).map((one) => one.text);
