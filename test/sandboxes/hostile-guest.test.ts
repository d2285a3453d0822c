/**
 * Guests that attack their host (reliability.md 32, 33, 34, 36), against a real daemon and the real command line: only
 * QEMU and what runs in it are replaced, by a program that serves the same sockets.
 */
import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CliResult, hearth, jsonOf } from '../support/cli.js';
import { type RunningDaemon, serve } from '../support/daemon.js';

const MIB = 1024 * 1024;
/** What no guest may make the host grow by. */
const MAX_GROWTH_BYTES = 64 * MIB;

let root: string;
let home: string;
let daemon: RunningDaemon;

const cli = (...words: string[]): Promise<CliResult> => hearth(words, { home });
const behave = (sandbox: string, how: string, ...options: string[]): Promise<CliResult> =>
  cli('exec', ...options, sandbox, '--', `behave:${how}`);

async function start(name: string): Promise<void> {
  const words = ['create', '--start', '--cold', '--accel', 'tcg', '--name', name, 'stand-in'];
  const { stderr, exitCode } = await cli(...words);
  expect(stderr).toBe('');
  expect(exitCode).toBe(0);
}

/** The most memory that the daemon has ever had. */
async function peakBytes(): Promise<number> {
  const status = await readFile(`/proc/${daemon.child.pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? Number.NaN) * 1024;
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'hearth-hostile-'));
  home = join(root, 'home');
  const bin = join(root, 'bin');
  await mkdir(home, { mode: 0o700 });
  await mkdir(bin);
  const standIn = join(bin, 'stand-in.mjs');
  await copyFile(fileURLToPath(new URL('stand-in-qemu.mjs', import.meta.url)), standIn);
  await writeFile(
    join(bin, 'qemu-system-x86_64'),
    `#!/bin/sh\nexec '${process.execPath}' '${standIn}' "$@"\n`,
  );
  await chmod(join(bin, 'qemu-system-x86_64'), 0o755);
  // Every hearth of this file finds the program in QEMU's place.
  process.env.PATH = `${bin}:${process.env.PATH}`;
  const disk = join(root, 'disk.ext4');
  await promisify(execFile)('mke2fs', ['-q', '-t', 'ext4', disk, '8M']);
  for (const file of ['kernel', 'initrd']) await writeFile(join(root, file), 'none');
  const files = ['--rootfs', disk, '--kernel', join(root, 'kernel'), '--initrd', join(root, 'initrd')];
  expect((await cli('env', 'register', '--quiet', ...files, 'stand-in')).exitCode).toBe(0);
  daemon = await serve(home);
  await start('good');
  await start('bad');
  // What is loaded with the first command is not the guest's doing.
  for (const sandbox of ['good', 'bad']) expect((await behave(sandbox, 'well')).exitCode).toBe(0);
});
afterAll(async () => {
  await cli('rm', '--force', 'good', 'bad', 'silent', 'drip');
  await cli('serve', '--stop');
  await daemon.ended;
  await rm(root, { recursive: true, force: true });
});

/** Does it, and sees that memory stays in its bound and both sandboxes, after it, are of use. */
async function attack(how: string, ...options: string[]): Promise<CliResult> {
  const before = await peakBytes();
  const [result, neighbour] = await Promise.all([behave('bad', how, ...options), behave('good', 'well')]);
  expect(neighbour.stdout.toString()).toBe('well\n');
  expect((await peakBytes()) - before).toBeLessThan(MAX_GROWTH_BYTES);
  return result;
}

describe('a guest that breaks the protocol loses its channel with a coded error', () => {
  it.each([
    ['garbage', 'FRAME_TOO_LARGE'],
    ['length-4gib', 'FRAME_TOO_LARGE'],
    ['length-control', 'FRAME_TOO_LARGE'],
    ['length-data', 'FRAME_TOO_LARGE'],
    ['foreign-stream', 'AGENT_PROTOCOL_INVALID'],
    ['guest-stream', 'AGENT_PROTOCOL_INVALID'],
    ['never-asked', 'AGENT_PROTOCOL_INVALID'],
    ['exit-999', 'AGENT_PROTOCOL_INVALID'],
    ['flood-data', 'AGENT_PROTOCOL_INVALID'],
    ['flood-ends', 'AGENT_PROTOCOL_INVALID'],
    ['flood-windows', 'AGENT_PROTOCOL_INVALID'],
    ['hang-up', 'AGENT_DISCONNECTED'],
  ])('%s: %s', async (how, code) => {
    const { stderr, exitCode } = await attack(how);
    expect(stderr).toContain(`error[${code}]`);
    expect(exitCode).toBe(125);
    // The next command opens a channel of its own.
    expect((await behave('bad', 'well')).stdout.toString()).toBe('well\n');
  });

  it('answer-twice: after an answer that stands', async () => {
    expect((await attack('answer-twice')).exitCode).toBe(0);
    expect((await behave('bad', 'well')).stdout.toString()).toBe('well\n');
  });

  it.each([
    ['later-noise', 'AGENT_PROTOCOL_INVALID'],
    ['later-other', 'AGENT_GENERATION_UNSUPPORTED'],
  ])('%s, at the greeting: %s', async (how, code) => {
    await attack(how);
    await expect
      .poll(async () => (await behave('bad', 'well')).stderr, { timeout: 60_000 })
      .toContain(`error[${code}]`);
    expect((await behave('bad', 'well')).stdout.toString()).toBe('well\n');
  });

  it('and its sandbox is there all the same, and can be stopped', async () => {
    expect(jsonOf(await cli('inspect', 'bad'))).toMatchObject({ sandbox: { state: 'running' } });
    expect((await cli('stop', 'bad')).exitCode).toBe(0);
    expect(jsonOf(await cli('inspect', 'bad'))).toMatchObject({ sandbox: { state: 'stopped' } });
  });
});

describe('36: a guest that keeps silent, or sends a byte now and then', () => {
  it('is given up at the deadline of the call, each by itself', async () => {
    await start('silent');
    await start('drip');
    const before = await peakBytes();
    const waiting = Promise.all([behave('silent', 'silent'), behave('drip', 'drip')]);
    expect((await behave('good', 'well')).stdout.toString()).toBe('well\n');
    for (const { stderr, exitCode } of await waiting) {
      expect(stderr).toContain('error[AGENT_TIMEOUT]');
      expect(exitCode).toBe(125);
    }
    expect((await peakBytes()) - before).toBeLessThan(MAX_GROWTH_BYTES);
  });
});
