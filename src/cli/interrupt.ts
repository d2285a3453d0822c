/** Ctrl-C and its kin: the first asks the work to end, and a second one does not wait for it. */
import process from 'node:process';
import { EXIT_INTERRUPTED } from './print-error.js';

/** Why work ended early: the user or the system asked for it. */
export class Interrupted extends Error {
  readonly signalName: NodeJS.Signals;

  constructor(signalName: NodeJS.Signals) {
    super(`interrupted by ${signalName}`);
    this.name = 'Interrupted';
    this.signalName = signalName;
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Runs `body` with a signal that SIGINT, SIGTERM and SIGHUP abort with an {@link Interrupted}. A second one
 * ends the process at once; what it leaves behind, the next command removes.
 */
export async function withInterrupt<T>(body: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const onSignal = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(EXIT_INTERRUPTED);
    controller.abort(new Interrupted(name));
  };
  for (const name of SIGNALS) process.on(name, onSignal);
  try {
    return await body(controller.signal);
  } finally {
    for (const name of SIGNALS) process.off(name, onSignal);
  }
}
