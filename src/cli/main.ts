#!/usr/bin/env node
/** The `hearth` program: finds the command, runs it, prints its error, sets the exit code. */
import process from 'node:process';

const [first] = process.argv.slice(2);
if (first === '--version' || first === '-V') {
  const { packageVersion } = await import('../fsx/index.js');
  process.stdout.write(`hearth ${packageVersion()}\n`);
} else {
  const { runCli } = await import('./run-cli.js');
  process.exitCode = await runCli(process.argv.slice(2), process);
}
