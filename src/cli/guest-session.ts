/** A command of a guest on this process's streams or terminal, from its start to its end. */
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ExecExit, GuestProcess } from '../agent/index.js';
import { errnoOf } from '../errors/index.js';
import type { CommandContext } from './command.js';
import { DetachKeys } from './detach-keys.js';

export interface GuestSessionOptions {
  readonly stdin: boolean;
  /** Raw mode, sizes, and the keys that detach. */
  readonly terminal?: { readonly detachKeys: Buffer } | undefined;
  readonly stdout?: Writable;
  readonly stderr?: Writable;
}

/** The user pressed the detach keys: the command goes on. */
class Detached extends Error {}

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const;
/** How often a signal may be asked for before we end without the command's consent. */
const PATIENCE = 3;

/** @returns How the command ended, or undefined when the user detached. */
export async function followGuest(
  context: CommandContext,
  guest: GuestProcess,
  options: GuestSessionOptions,
): Promise<ExecExit | undefined> {
  const { stdin } = context;
  const undo = [forwardSignals(guest)];
  try {
    if (options.terminal !== undefined) undo.push(holdTerminal(context, guest));
    if (options.stdin && guest.stdin !== undefined) {
      const keys = new DetachKeys(options.terminal?.detachKeys ?? Buffer.alloc(0), () =>
        guest.abandon(new Detached()),
      );
      // The command may end without having read its input; that is its business.
      pipeline(stdin, keys, guest.stdin).catch(() => {});
    }
    const outputs = [
      deliver(guest.stdout, options.stdout ?? context.stdout, guest),
      deliver(guest.stderr, options.stderr ?? context.stderr, guest),
    ];
    const [exit] = await Promise.all([guest.exited, ...outputs]);
    return exit;
  } catch (error) {
    if (error instanceof Detached) return undefined;
    throw error;
  } finally {
    for (const step of undo) step();
    stdin.pause();
    stdin.unref?.();
  }
}

/** A signal to us is one to the command. Asked again and again, we go. */
function forwardSignals(guest: GuestProcess): () => void {
  let interrupts = 0;
  const forward = (name: NodeJS.Signals): void => {
    interrupts += name === 'SIGINT' || name === 'SIGTERM' ? 1 : 0;
    guest.kill(interrupts > PATIENCE ? 'SIGKILL' : name);
  };
  for (const name of FORWARDED) process.on(name, forward);
  return () => {
    for (const name of FORWARDED) process.off(name, forward);
  };
}

function holdTerminal({ stdin, stdout }: CommandContext, guest: GuestProcess): () => void {
  const onResize = (): void => guest.resize({ columns: stdout.columns, rows: stdout.rows });
  stdin.setRawMode(true);
  stdout.on('resize', onResize);
  return () => {
    stdin.setRawMode(false);
    stdout.off('resize', onResize);
  };
}

/** A reader that is gone (`| head`) ends the command as SIGPIPE would have. */
async function deliver(from: Readable, to: Writable, guest: GuestProcess): Promise<void> {
  try {
    await pipeline(from, to, { end: false });
  } catch (error) {
    if (errnoOf(error) !== 'EPIPE') throw error;
    guest.kill('SIGPIPE');
    from.resume();
  }
}
