/** Runs the built `hearth` program as a user would, and tells what came out. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));
export const CLI = `${REPOSITORY}dist/cli/main.js`;

/**
 * A HEARTH_HOME that the tests share and keep between runs, so that environments are made once.
 * Tests that change what is installed use a directory of their own.
 */
export const SHARED_HOME = `${REPOSITORY}build/test-home`;

export interface CliResult {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface CliOptions {
  readonly home?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string | Buffer;
  /** Called with the running process, for signals. */
  readonly onSpawn?: (child: ChildProcessWithoutNullStreams) => void;
}

/** The environment of a test's hearth: nothing of the tester's but what programs need to be found. */
export function cliEnvironment({ home = SHARED_HOME, env = {} }: CliOptions = {}): Record<string, string> {
  return { PATH: process.env.PATH ?? '', HOME: '/nonexistent', LANG: 'C.UTF-8', HEARTH_HOME: home, ...env };
}

/** Runs `hearth ARGS`; stdin is `input`, or closed. */
export async function hearth(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  await mkdir(options.home ?? SHARED_HOME, { recursive: true, mode: 0o700 });
  const child = spawn(process.execPath, [CLI, ...args], { env: cliEnvironment(options) });
  options.onSpawn?.(child);
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  child.stdin.on('error', () => {});
  child.stdin.end(options.input);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (exitCode, signal) => {
      resolve({
        exitCode,
        signal,
        stdout: Buffer.concat(stdout),
        stderr: Buffer.concat(stderr).toString('utf8'),
      });
    });
  });
}

/** The one JSON document on stdout. */
export function jsonOf(result: CliResult): Record<string, unknown> {
  return JSON.parse(result.stdout.toString('utf8')) as Record<string, unknown>;
}

/** A HEARTH_HOME of its own, with only the kernels of the shared one in it. The caller removes it. */
export async function freshHome(): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'hearth-home-'));
  await cp(`${SHARED_HOME}/data/kernels`, join(home, 'data/kernels'), {
    recursive: true,
    preserveTimestamps: true,
  });
  return home;
}
