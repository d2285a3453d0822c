/** Puts an output into a file of the guest while it comes, at the pace at which the guest writes it. */
import { once } from 'node:events';
import type { GuestProcess } from '../agent/index.js';
import type { Service } from '../contract/index.js';
import type { OverflowSink } from './output-capture.js';

export interface GuestSpillOptions {
  readonly sandbox: string;
  /** End of the file's name. */
  readonly name: string;
  /** Number of the command whose output it is. */
  readonly execId: Promise<number>;
  readonly signal: AbortSignal;
}

const DIRECTORY = '/tmp/hearth';
/** More than this of one output is counted, not kept: the disk is the guest's. */
const MAX_BYTES = 256 * 1024 * 1024;
const SCRIPT = `umask 077; mkdir -p ${DIRECTORY} && exec cat > "$1"`;

export class GuestSpill implements OverflowSink {
  readonly #opening: Promise<{ readonly path: string; readonly writer: GuestProcess } | undefined>;
  #writtenBytes = 0;
  #failed = false;

  constructor(service: Service, options: GuestSpillOptions) {
    // A guest without a shell, or with a full disk, keeps nothing; the command itself goes on.
    this.#opening = open(service, options).catch(() => undefined);
  }

  async write(chunk: Buffer): Promise<void> {
    const opened = await this.#opening;
    const stdin = opened?.writer.stdin ?? undefined;
    if (opened === undefined || stdin === undefined || this.#failed) return;
    if (stdin.destroyed || this.#writtenBytes + chunk.byteLength > MAX_BYTES) {
      this.#failed = true;
      return;
    }
    this.#writtenBytes += chunk.byteLength;
    if (stdin.write(chunk)) return;
    const over = opened.writer.exited.then(
      () => undefined,
      () => undefined,
    );
    await Promise.race([once(stdin, 'drain').catch(() => undefined), over]);
  }

  /** The file's path when everything is in it, else null. */
  async close(): Promise<string | null> {
    const opened = await this.#opening;
    if (opened === undefined) return null;
    opened.writer.stdin?.end();
    const exitCode = await opened.writer.exited.then(
      (exit) => exit.exitCode,
      () => -1,
    );
    return exitCode === 0 && !this.#failed ? opened.path : null;
  }
}

async function open(service: Service, { sandbox, name, execId, signal }: GuestSpillOptions) {
  const path = `${DIRECTORY}/exec-${await execId}-${name}`;
  const argv = ['/bin/sh', '-c', SCRIPT, 'sh', path];
  const writer = await service.process('exec.start', { sandbox, argv, stdin: true }, { signal });
  writer.stdin?.on('error', () => {});
  writer.stdout.resume();
  writer.stderr.resume();
  return { path, writer };
}
