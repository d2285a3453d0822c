/** Kept sandboxes that start warm, and that go back. */
import { randomBytes } from 'node:crypto';
import { afterAll, describe, expect, it } from 'vitest';
import { type CliResult, hearth, jsonOf } from '../support/cli.js';

const NAME = `snap-${randomBytes(4).toString('hex')}`;
const made = new Set<string>();

interface Shown {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly startKind: string | null;
  readonly pid: number | null;
}
const inspect = async (name: string): Promise<Shown> =>
  (jsonOf(await hearth(['inspect', name])) as unknown as { sandbox: Shown }).sandbox;
const sh = async (name: string, script: string): Promise<string> =>
  (await hearth(['exec', name, '--', 'sh', '-c', script])).stdout.toString();

async function create(name: string, ...options: string[]): Promise<CliResult> {
  made.add(name);
  return await hearth(['create', '--name', name, '--memory', '256M', ...options, 'debian:12']);
}

afterAll(async () => {
  await hearth(['rm', '--force', ...made]);
  await hearth(['serve', '--stop']);
});

describe('a kept sandbox', () => {
  it('starts warm, with an identity of its own, and grows its disk all the same', async () => {
    const other = `${NAME}-big`;
    for (const result of [await create(NAME, '--start'), await create(other, '--start', '--disk', '6G')]) {
      expect(result).toMatchObject({ exitCode: 0, stderr: '' });
    }
    expect(await inspect(NAME)).toMatchObject({ state: 'running', startKind: 'warm' });
    expect(await inspect(other)).toMatchObject({ state: 'running', startKind: 'warm' });
    const script =
      'uname -n; cat /etc/machine-id /proc/sys/kernel/random/uuid; head -c 32 /dev/urandom | od -An -tx1';
    const [one, two] = await Promise.all(
      [NAME, other].map(async (name) => (await sh(name, script)).split('\n')),
    );
    expect(one?.[0]).toBe(NAME);
    expect(one?.length).toBeGreaterThanOrEqual(5);
    for (const [index, line] of (one ?? []).entries()) if (line !== '') expect(line).not.toBe(two?.[index]);
    const size = await sh(other, 'df --output=size -B1G / | tail -1');
    expect(Number(size)).toBeGreaterThanOrEqual(5);
  });

  it('boots from the disk it has written to, and when it is asked to', async () => {
    await sh(NAME, 'echo mine > /root/file; sync');
    await hearth(['stop', NAME]);
    expect(await hearth(['start', NAME])).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await inspect(NAME)).toMatchObject({ state: 'running', startKind: 'cold' });
    expect(await sh(NAME, 'cat /root/file')).toBe('mine\n');
  });

  it('has its first disk and its name after a reset, and runs if it ran', async () => {
    const before = await inspect(NAME);
    expect(await hearth(['reset', NAME])).toMatchObject({ exitCode: 0, stderr: '' });
    const after = await inspect(NAME);
    expect(after).toMatchObject({ id: before.id, name: NAME, state: 'running', startKind: 'warm' });
    expect(after.pid).not.toBe(before.pid);
    expect(await sh(NAME, 'ls /root; uname -n')).toBe(`${NAME}\n`);
    await hearth(['stop', NAME]);
    expect((await hearth(['reset', NAME])).exitCode).toBe(0);
    expect(await inspect(NAME)).toMatchObject({ state: 'created', pid: null });
    expect((await hearth(['start', '--cold', NAME])).exitCode).toBe(0);
    expect(await inspect(NAME)).toMatchObject({ state: 'running', startKind: 'cold' });
  });
});
