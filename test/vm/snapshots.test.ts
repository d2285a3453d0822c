/** Kept sandboxes that start warm, that go back, and that are copied. */
import { randomBytes } from 'node:crypto';
import { readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type CliResult, hearth, jsonOf, SHARED_HOME } from '../support/cli.js';

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

interface Snapshot {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
  readonly pauseMs: number;
}
const snapshotsOf = async (name: string): Promise<readonly Snapshot[]> =>
  jsonOf(await hearth(['snapshot', 'list', '--json', name])).snapshots as readonly Snapshot[];
const directoryOf = ({ id }: Snapshot): string => join(SHARED_HOME, 'data/snapshots', id);
const COUNTER = 'i=0; while :; do i=$((i+1)); echo $i > /dev/shm/count; sleep 0.1; done';
/** Host keys, and a stand-in for the program that makes them: `-f` is its last option. */
const KEYS = `mkdir -p /etc/ssh; cd /etc/ssh; echo old > ssh_host_ed25519_key; echo old.pub > ssh_host_ed25519_key.pub
cat > /usr/local/bin/ssh-keygen <<'END'
#!/bin/sh
test "$*" = "-q -t ed25519 -N  -C root@$(uname -n) -f .renewed" || exit 1
cat /proc/sys/kernel/random/uuid > .renewed; cat /proc/sys/kernel/random/uuid > .renewed.pub
END
chmod +x /usr/local/bin/ssh-keygen`;
const count = async (name: string): Promise<number> => Number(await sh(name, 'cat /dev/shm/count'));

/** Sandboxes, and what lies where they and the snapshots are kept. */
const everything = async (): Promise<readonly (readonly string[])[]> => [
  (await hearth(['ps', '--all', '--quiet'])).stdout.toString().split('\n').sort(),
  (await readdir(join(SHARED_HOME, 'data/snapshots'))).sort(),
  (await readdir(join(SHARED_HOME, 'state/sandboxes'))).sort(),
];

describe('a snapshot of a running sandbox', () => {
  const source = `${NAME}-source`;

  it('has memory and disk of one moment, is kept from others, and the sandbox goes on', async () => {
    await create(source, '--start');
    await hearth(['exec', '-d', source, '--', 'sh', '-c', COUNTER]);
    await expect.poll(() => count(source), { timeout: 30_000 }).toBeGreaterThan(0);
    await sh(source, 'echo then > /root/file');
    expect((await hearth(['snapshot', 'create', source, 'first'])).exitCode).toBe(0);
    const [first] = await snapshotsOf(source);
    if (first === undefined) throw new Error('there is no snapshot');
    expect(first).toMatchObject({ name: 'first', kind: 'vm', pauseMs: expect.any(Number) });
    for (const file of ['memory', 'state', 'disk', 'snapshot.json']) {
      expect((await stat(join(directoryOf(first), file))).mode & 0o777).toBe(0o600);
    }
    const before = await count(source);
    await expect.poll(() => count(source), { timeout: 30_000 }).toBeGreaterThan(before);
    const again = await hearth(['snapshot', 'create', source, 'first']);
    expect(again.stderr).toContain('error[SNAPSHOT_EXISTS]');
  });

  it('is gone back to, memory and commands included, as the machine it was', async () => {
    const machineId = await sh(source, 'cat /etc/machine-id');
    await sh(source, 'echo now > /root/file; echo 1000000 > /dev/shm/count');
    const { pid } = await inspect(source);
    expect(await hearth(['restore', source, 'first'])).toMatchObject({ exitCode: 0, stderr: '' });
    const after = await inspect(source);
    expect(after).toMatchObject({ state: 'running', startKind: 'warm' });
    expect(after.pid).not.toBe(pid);
    expect(await sh(source, 'cat /root/file; cat /etc/machine-id')).toBe(`then\n${machineId}`);
    const before = await count(source);
    expect(before).toBeLessThan(1_000_000);
    await expect.poll(() => count(source), { timeout: 30_000 }).toBeGreaterThan(before);
  });

  it('is copied: two that share nothing they must have for themselves, without its commands', async () => {
    await sh(source, KEYS);
    const forked = await hearth(['fork', '--json', '-n', '2', '--name', `${NAME}-copy`, source]);
    expect(forked).toMatchObject({ exitCode: 0, stderr: '' });
    const names = [`${NAME}-copy-1`, `${NAME}-copy-2`];
    for (const name of names) made.add(name);
    const script = `uname -n; cat /etc/machine-id /proc/sys/kernel/random/uuid; head -c 32 /dev/urandom | od -An -tx1
      perl -e 'my $b = "\\0" x 16; syscall(318, $b, 16, 0); print unpack("H*", $b), "\\n"'
      cat /etc/ssh/ssh_host_ed25519_key /etc/ssh/ssh_host_ed25519_key.pub`;
    const [one, two, own] = await Promise.all(
      [...names, source].map(async (name) => (await sh(name, script)).trim().split('\n')),
    );
    expect(one?.length).toBe(8);
    for (const [index, line] of (one ?? []).entries()) {
      expect(new Set([line, two?.[index], own?.[index]]).size).toBe(3);
    }
    for (const name of names) {
      const before = Date.now();
      const guestClock = Number(await sh(name, 'date +%s%3N'));
      expect(guestClock).toBeGreaterThan(before - 1500);
      expect(guestClock).toBeLessThan(Date.now() + 1500);
      expect(await sh(name, 'cat /root/file')).toBe('then\n');
      const execs = jsonOf(await hearth(['inspect', name])).execs;
      expect(execs).toEqual([]);
      const standing = await count(name);
      await new Promise((resolve) => setTimeout(resolve, 500));
      expect(await count(name)).toBe(standing);
    }
    expect((await inspect(source)).state).toBe('running');
    await sh(names[0] ?? '', 'echo mine > /root/file; sync');
    expect(await sh(names[1] ?? '', 'cat /root/file')).toBe('then\n');
    expect(await sh(source, 'cat /root/file')).toBe('then\n');
  });

  it.each([
    // Nothing can be put in the place of a file that is a mount point.
    ['machine id', 'mount --bind /etc/machine-id /etc/machine-id', 'umount /etc/machine-id'],
    ['ssh host keys', 'chmod -x /usr/local/bin/ssh-keygen', 'chmod +x /usr/local/bin/ssh-keygen'],
  ])(
    'is not copied when a copy does not confirm its own %s, and nothing is left',
    async (part, spoil, mend) => {
      await sh(source, spoil);
      const before = await everything();
      const forked = await hearth(['fork', '--json', '-n', '2', '--name', `${NAME}-refused`, source]);
      expect(forked.exitCode).not.toBe(0);
      expect(jsonOf(forked).error).toMatchObject({ code: 'VM_IDENTITY_UNCONFIRMED', details: { part } });
      expect(await everything()).toEqual(before);
      expect(await sh(source, mend)).toBe('');
    },
  );

  it('is copied later as well, and with its commands when asked', async () => {
    const name = `${NAME}-later`;
    made.add(name);
    expect(
      (await hearth(['fork', '--snapshot', 'first', '--keep-commands', '--name', name, source])).exitCode,
    ).toBe(0);
    const before = await count(name);
    await expect.poll(() => count(name), { timeout: 30_000 }).toBeGreaterThan(before);
  });

  it('is refused when its machine or its files are others; its disk can be had alone', async () => {
    const [first] = await snapshotsOf(source);
    if (first === undefined) throw new Error('there is no snapshot');
    const { pid } = await inspect(source);
    const path = join(directoryOf(first), 'snapshot.json');
    const text = await readFile(path, 'utf8');
    const recorded = JSON.parse(text);
    await writeFile(
      path,
      JSON.stringify({ ...recorded, machine: { ...recorded.machine, processor: 'another' } }),
    );
    const foreign = await hearth(['restore', source, 'first']);
    expect(foreign.stderr).toContain('error[VM_SNAPSHOT_INCOMPATIBLE]');
    expect(foreign.stderr).toContain('the processor');
    expect((await hearth(['fork', '--snapshot', 'first', source])).stderr).toContain(
      'VM_SNAPSHOT_INCOMPATIBLE',
    );
    const disk = { ...recorded.files.disk, sizeBytes: recorded.files.disk.sizeBytes + 1 };
    await writeFile(path, JSON.stringify({ ...recorded, files: { ...recorded.files, disk } }));
    expect((await hearth(['restore', source, 'first'])).stderr).toContain('error[VM_SNAPSHOT_INVALID]');
    await writeFile(path, text);
    // One bit, and the file looks as old as before.
    const statePath = join(directoryOf(first), 'state');
    const [state, { atime, mtime }] = [await readFile(statePath), await stat(statePath)];
    const spoilt = Buffer.from(state);
    spoilt[100] = (spoilt[100] ?? 0) ^ 1;
    await writeFile(statePath, spoilt);
    await utimes(statePath, atime, mtime);
    const damaged = await hearth(['restore', source, 'first']);
    expect(damaged.stderr).toContain('error[VM_SNAPSHOT_INVALID]');
    expect(damaged.stderr).toContain('state');
    await writeFile(statePath, state);
    expect(await inspect(source)).toMatchObject({ state: 'running', pid });
    expect((await hearth(['restore', '--disk-only', source, 'first'])).exitCode).toBe(0);
    expect(await inspect(source)).toMatchObject({ state: 'stopped', pid: null });
  });

  it('is of the disk alone when the sandbox does not run, and goes with its sandbox', async () => {
    expect((await hearth(['snapshot', 'create', source, 'second'])).exitCode).toBe(0);
    const all = await snapshotsOf(source);
    expect(all.map(({ name, kind }) => [name, kind])).toEqual([
      ['first', 'vm'],
      ['second', 'disk'],
    ]);
    expect((await hearth(['snapshot', 'rm', source, 'second'])).stdout.toString()).toBe('second\n');
    expect((await hearth(['restore', source, 'second'])).stderr).toContain('error[SNAPSHOT_NOT_FOUND]');
    await hearth(['rm', '--force', source]);
    const left = await readdir(join(SHARED_HOME, 'data/snapshots'));
    expect(left.filter((name) => all.some(({ id }) => name.includes(id)))).toEqual([]);
  });
});
