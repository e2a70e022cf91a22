/**
 * Path of Vestibule's program for this machine.
 *
 * @throws Error when the package that holds it is not installed, which happens with `--omit=optional` and on machines
 *   for which there is none.
 */
export function program(): string;

/** The same, or `undefined` where there is none. */
export function findProgram(): string | undefined;
