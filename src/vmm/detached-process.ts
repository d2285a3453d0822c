/**
 * A VMM that outlives the process that started it, and the hold that a later process takes of it again.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HearthError } from '../errors/index.js';
import type { VmExit } from './driver.js';
import { findExecutable } from './executable.js';
import { isProcessAlive, type ProcessIdentity, readProcessIdentity } from './process-identity.js';

export interface DetachedProcessOptions {
  /** Absolute path of the VMM. */
  readonly command: string;
  readonly args: readonly string[];
  /** Working directory: that of the VM. What the VMM says on stderr is in its file `vmm.log`. */
  readonly directory: string;
  /** Open files that the VMM inherits, from descriptor 3 on. */
  readonly files?: readonly number[];
  /** Variables beside the few that every VMM gets. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface DetachedProcess {
  readonly identity: ProcessIdentity;
  /** Resolves when the process is gone; never rejects. An adopted one tells neither exit code nor signal. */
  readonly exited: Promise<VmExit>;
  /** Looks at once whether the process is gone, for one that seems to be. */
  check(): void;
  /** SIGTERM, after `graceMs` SIGKILL; resolves when the process is gone. Idempotent. */
  terminate(graceMs: number): Promise<void>;
  /** Stops looking; the process goes on, and `exited` may never resolve. */
  release(): void;
}

const STDERR_FILE = 'vmm.log';
const MAX_STDERR_BYTES = 4096;
const LOOK_MS = 500;

/**
 * Starts a VMM in a session of its own.
 *
 * @throws {HearthError} `TOOL_NOT_FOUND` without util-linux's setpriv; the error of spawn.
 */
export async function startDetachedProcess(options: DetachedProcessOptions): Promise<DetachedProcess> {
  const searchPath = process.env.PATH;
  const setpriv = await findExecutable('setpriv', searchPath);
  if (setpriv === undefined) {
    throw new HearthError('TOOL_NOT_FOUND', 'setpriv is not installed', {
      hint: 'Install util-linux, which has it: `apt-get install util-linux`.',
      details: { command: 'setpriv' },
    });
  }
  const stderr = await open(join(options.directory, STDERR_FILE), 'w', 0o600);
  try {
    const child = spawn(setpriv, ['--no-new-privs', '--', options.command, ...options.args], {
      cwd: options.directory,
      env: { PATH: searchPath, LC_ALL: 'C', TMPDIR: options.directory, ...options.env },
      detached: true,
      stdio: ['ignore', 'ignore', stderr.fd, ...(options.files ?? [])],
    });
    const ended = endOf(child);
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    child.unref();
    const pid = child.pid ?? -1;
    // A process that has ended already keeps its number until its end is told to us.
    const identity = (await readProcessIdentity(pid)) ?? { pid, startTime: '', bootId: '' };
    const exited = ended.then(async (end) => ({ ...end, stderr: await stderrTail(options.directory) }));
    return {
      identity,
      exited,
      check: () => undefined,
      terminate: (graceMs) => terminate(identity, exited, graceMs),
      release: () => undefined,
    };
  } finally {
    await stderr.close();
  }
}

/**
 * Takes hold of a VMM that another process started.
 *
 * @returns undefined when that process is gone.
 */
export async function adoptProcess(
  identity: ProcessIdentity,
  directory: string,
): Promise<DetachedProcess | undefined> {
  if (!(await isProcessAlive(identity))) return undefined;
  let check: () => void = () => undefined;
  let timer: NodeJS.Timeout | undefined;
  const gone = new Promise<void>((resolve) => {
    check = () => {
      void isProcessAlive(identity).then((alive) => {
        if (!alive) resolve();
      });
    };
    timer = setInterval(check, LOOK_MS).unref();
  });
  const exited = gone.then(async () => {
    clearInterval(timer);
    return { exitCode: null, signal: null, stderr: await stderrTail(directory) };
  });
  return {
    identity,
    exited,
    check,
    terminate: (graceMs) => terminate(identity, exited, graceMs),
    release: () => clearInterval(timer),
  };
}

async function terminate(identity: ProcessIdentity, exited: Promise<VmExit>, graceMs: number): Promise<void> {
  await signalProcess(identity, 'SIGTERM');
  const timer = setTimeout(() => void signalProcess(identity, 'SIGKILL'), graceMs);
  await exited;
  clearTimeout(timer);
}

/** Signals exactly this process; nothing happens when it is gone. */
export async function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): Promise<void> {
  if (!(await isProcessAlive(identity))) return;
  try {
    process.kill(identity.pid, signal);
  } catch {
    // Gone since.
  }
}

async function stderrTail(directory: string): Promise<string> {
  const text = await readFile(join(directory, STDERR_FILE)).catch(() => Buffer.alloc(0));
  return text.subarray(-MAX_STDERR_BYTES).toString('utf8');
}

function endOf(child: ChildProcess): Promise<Pick<VmExit, 'exitCode' | 'signal'>> {
  return new Promise((resolve) => {
    child.once('exit', (exitCode, signal) => resolve({ exitCode, signal }));
    child.once('error', () => {
      if (child.pid === undefined) resolve({ exitCode: null, signal: null });
    });
  });
}
