/** Memory that a guest has freed goes back to the host, however its VM was started. */
import { randomBytes } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hearth, jsonOf, SHARED_HOME } from '../support/cli.js';
import { type RunningDaemon, serve } from '../support/daemon.js';

const MIB = 1024 * 1024;
const NAME = `memory-${randomBytes(4).toString('hex')}`;
const USED = 100;
/** Of what was used; the rest is where the free pages of the guest lie too scattered. */
const GIVEN_BACK = 70;
const WAIT = { timeout: 120_000, interval: 1000 };
let daemon: RunningDaemon;

const sandboxOf = (kind: string): string => `${NAME}-${kind}`;

async function privateMib(name: string): Promise<number> {
  const { stats } = jsonOf(await hearth(['stats', '--json', name])) as {
    stats: Array<{ host: { privateBytes: number } }>;
  };
  return (stats[0]?.host.privateBytes ?? Number.NaN) / MIB;
}

/** Every memory of a boot snapshot: what is allocated of its file, and when that was changed. */
async function snapshotMemories(): Promise<ReadonlyMap<string, string>> {
  const root = join(SHARED_HOME, 'data/snapshots');
  const found = (await readdir(root)).filter((name) => name.startsWith('boot-'));
  const facts = await Promise.all(
    found.map(async (name) => {
      const { blocks, mtimeMs } = await stat(join(root, name, 'memory'));
      return [name, `${blocks} ${mtimeMs}`] as const;
    }),
  );
  return new Map(facts);
}

beforeAll(async () => {
  daemon = await serve(SHARED_HOME);
});
afterAll(async () => {
  await hearth(['rm', '--force', sandboxOf('cold'), sandboxOf('warm'), sandboxOf('next')]);
  await hearth(['serve', '--stop']);
  await daemon.ended;
});

describe.each(['warm', 'cold'])('a sandbox with a %s start', (kind) => {
  it('uses memory while its guest does, and no longer', async () => {
    const name = sandboxOf(kind);
    const words = ['create', '--start', ...(kind === 'cold' ? ['--cold'] : []), '--name', name];
    expect((await hearth([...words, '--memory', '256M', 'debian:12'])).exitCode).toBe(0);
    expect(jsonOf(await hearth(['inspect', name]))).toMatchObject({ sandbox: { startKind: kind } });
    const before = await snapshotMemories();
    const script = `$n = 1 << 20; push @x, q(x) x $n for 1..${USED}; $| = 1; print "up\\n"; sleep 600`;
    const id = (await hearth(['exec', '-d', name, 'perl', '-e', script])).stdout.toString().trim();
    await expect
      .poll(async () => (await hearth(['logs', '--exec', id, name])).stdout.toString(), WAIT)
      .toBe('up\n');
    const used = await privateMib(name);
    expect(used).toBeGreaterThan(USED);
    await hearth(['exec', name, 'perl', '-e', 'kill 9, -1']);
    await expect.poll(() => privateMib(name), WAIT).toBeLessThan(used - GIVEN_BACK);
    // What other VMs start from is as it was.
    expect(await snapshotMemories()).toEqual(before);
  });
});

it('does no harm to the next VM of the same boot snapshot', async () => {
  const name = sandboxOf('next');
  const made = await hearth(['create', '--start', '--name', name, '--memory', '256M', 'debian:12']);
  expect(made.stderr).toBe('');
  expect(jsonOf(await hearth(['inspect', name]))).toMatchObject({ sandbox: { startKind: 'warm' } });
  const script = 'head -c 30000000 /dev/zero | tr "\\0" x | md5sum | cut -c1-32';
  const { stdout } = await hearth(['exec', name, 'sh', '-c', script]);
  expect(stdout.toString()).toMatch(/^[0-9a-f]{32}\n$/);
});
