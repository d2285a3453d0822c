/** A command of a guest whose output comes without secrets. */
import { pipeline, type Readable, type Transform } from 'node:stream';
import type { GuestProcess } from '../../agent/index.js';
import type { Redactor } from './redactor.js';

export function redactedProcess(process: GuestProcess, redactor: Redactor): GuestProcess {
  if (!redactor.isNeeded) return process;
  const covered = <T>(promise: Promise<T>): Promise<T> => {
    const reworded = promise.catch((error: unknown) => {
      throw redactor.error(error);
    });
    // Whoever waits for one of the two need not handle the other.
    reworded.catch(() => {});
    return reworded;
  };
  const isAnswered = process.stdin !== undefined;
  const stdout = through(process.stdout, redactor.stream({ isAnswered }));
  const stderr = through(process.stderr, redactor.stream({ isAnswered }));
  return {
    stdin: process.stdin,
    stdout,
    stderr,
    started: covered(process.started),
    exited: covered(
      process.exited.then((exit) =>
        exit.failure === undefined ? exit : { ...exit, failure: redactor.error(exit.failure) },
      ),
    ),
    kill: (signal, target) => process.kill(signal, target),
    resize: (size) => process.resize(size),
    abandon: (reason) => process.abandon(reason),
  };
}

function through(output: Readable, clean: Transform): Readable {
  // A failure of either is told by the other, to whoever reads.
  pipeline(output, clean, () => {});
  return clean;
}
