import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const require = createRequire(import.meta.url);
const SYSTEMS = { linux: 'linux', darwin: 'macos', win32: 'windows' };

/** Names of the packages that may hold a program for this machine, best first. */
function candidates() {
  const name = `@vestibule-idp/server-${SYSTEMS[process.platform] ?? process.platform}-${process.arch}`;
  if (process.platform !== 'linux') return [name];
  // The report names the version of glibc where that is what Node.js runs on. Programs for musl run everywhere.
  const { glibcVersionRuntime } = process.report.getReport().header;
  return glibcVersionRuntime === undefined ? [`${name}-musl`] : [name, `${name}-musl`];
}

export function findProgram() {
  for (const name of candidates()) {
    try {
      const folder = dirname(require.resolve(`${name}/package.json`));
      return join(folder, 'bin', process.platform === 'win32' ? 'vestibule.exe' : 'vestibule');
    } catch (error) {
      if (error.code !== 'MODULE_NOT_FOUND') throw error;
    }
  }
  return undefined;
}

export function program() {
  const found = findProgram();
  if (found !== undefined) return found;
  throw new Error(
    `@vestibule-idp/server has no program for this machine (${process.platform} ${process.arch}). ` +
      `Its optional dependency ${candidates()[0]} is not installed: install again without --omit=optional, ` +
      'or set VESTIBULE_BIN to the path of a program.',
  );
}
