/**
 * The process of a VMM: how it starts, how its end is known, how it is ended.
 *
 * A VMM of lifetime `process` dies with this process however this one dies, `kill -9` included: the kernel
 * sends it SIGKILL (PR_SET_PDEATHSIG, set by util-linux's setpriv, which keeps it through exec).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { type Duplex, Readable } from 'node:stream';
import { HearthError } from '../errors/index.js';
import type { VmExit } from './driver.js';
import { findExecutable } from './executable.js';

export interface VmmProcessOptions {
  /** Absolute path of the VMM. */
  readonly command: string;
  readonly args: readonly string[];
  /** Working directory: that of the VM. */
  readonly directory: string;
  /** How many connected sockets to hand down, as descriptors 3, 4, … */
  readonly socketCount: number;
  /** Keep its standard output, which is otherwise dropped. */
  readonly stdout?: boolean;
  /** Open descriptors of ours to hand down after the sockets; they stay ours to close. */
  readonly files?: readonly number[];
  /** Variables beside the few that every VMM gets. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface VmmProcess {
  readonly pid: number;
  /** Our ends of the sockets, in the order of the descriptors. */
  readonly sockets: readonly Duplex[];
  /** Empty unless it was asked for. */
  readonly stdout: Readable;
  /** Resolves when the process is gone and has said its last on stderr; never rejects. */
  readonly exited: Promise<VmExit>;
  /** SIGTERM, after `graceMs` SIGKILL; resolves when the process is gone. Idempotent. */
  terminate(graceMs: number): Promise<void>;
  /** SIGKILL; resolves when the process is gone. Idempotent. */
  kill(): Promise<void>;
}

const MAX_STDERR_BYTES = 4096;

/**
 * Ends with the VMM itself in the place of this shell. Refuses when the parent is not the one that asked: it
 * died before the death signal was set.
 */
const GUARD = '[ "$PPID" = "$1" ] || exit 125; shift; exec "$@"';

/**
 * Starts a VMM that ends with this process.
 *
 * @throws {HearthError} `TOOL_NOT_FOUND` without util-linux's setpriv; the error of spawn when the host is out
 *   of processes or descriptors.
 */
export async function startVmmProcess(options: VmmProcessOptions): Promise<VmmProcess> {
  const searchPath = process.env.PATH;
  const setpriv = await findExecutable('setpriv', searchPath);
  if (setpriv === undefined) {
    throw new HearthError('TOOL_NOT_FOUND', 'setpriv is not installed', {
      hint: 'Install util-linux, which has it: `apt-get install util-linux`.',
      details: { command: 'setpriv' },
    });
  }
  const guarded = ['sh', '-c', GUARD, 'sh', String(process.pid), options.command, ...options.args];
  const child = spawn(setpriv, ['--pdeathsig', 'KILL', '--no-new-privs', '--', ...guarded], {
    cwd: options.directory,
    // Nothing of ours: secrets in the environment are not the VMM's business.
    env: { PATH: searchPath, LC_ALL: 'C', TMPDIR: options.directory, ...options.env },
    // Not the terminal's process group: Ctrl-C is for us, and we end the VM in order.
    detached: true,
    stdio: [
      ...[
        'ignore' as const,
        options.stdout === true ? ('pipe' as const) : ('ignore' as const),
        'pipe' as const,
      ],
      ...Array.from({ length: options.socketCount }, () => 'pipe' as const),
      ...(options.files ?? []),
    ],
  });
  const exited = exitOf(child);
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  const sockets = child.stdio
    .slice(3, 3 + options.socketCount)
    .filter((stream): stream is Duplex => stream != null && 'write' in stream && 'read' in stream);
  for (const socket of sockets) {
    // ECONNRESET and EPIPE: the VMM is gone, which `exited` tells.
    socket.on('error', () => socket.destroy());
  }
  return {
    pid: child.pid ?? -1,
    sockets,
    stdout: child.stdout ?? Readable.from([]),
    exited,
    terminate: (graceMs) => terminate(child, exited, graceMs),
    kill: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

async function terminate(child: ChildProcess, exited: Promise<VmExit>, graceMs: number): Promise<void> {
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
  await exited;
  clearTimeout(timer);
}

function exitOf(child: ChildProcess): Promise<VmExit> {
  let stderr: Buffer = Buffer.alloc(0);
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr = Buffer.concat([stderr, chunk]).subarray(-MAX_STDERR_BYTES);
  });
  return new Promise((resolve) => {
    const finish = (exitCode: number | null, signal: NodeJS.Signals | null): void =>
      resolve({ exitCode, signal, stderr: stderr.toString('utf8') });
    child.once('exit', (exitCode, signal) => {
      // `close` would also wait for our ends of the sockets, which may be read later than that.
      if (child.stderr === null || child.stderr.readableEnded) finish(exitCode, signal);
      else child.stderr.once('close', () => finish(exitCode, signal));
    });
    child.once('error', (error) => {
      if (child.pid === undefined) resolve({ exitCode: null, signal: null, stderr: error.message });
    });
  });
}
