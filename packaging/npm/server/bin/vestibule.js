#!/usr/bin/env node
// Runs the program that an optional dependency brings, as if it had been called itself.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { program } from '../index.js';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

function run(path) {
  const child = spawn(path, process.argv.slice(2), { stdio: 'inherit' });
  for (const signal of SIGNALS) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => fail(`${path}: ${error.message}`));
  // What a signal ended has the exit status that a shell gives it.
  child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}

function fail(message) {
  console.error(`vestibule: ${message}`);
  process.exit(1);
}

try {
  run(process.env.VESTIBULE_BIN || program());
} catch (error) {
  fail(error.message);
}
