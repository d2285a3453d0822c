/** `hearth bench`: what it measures and says. How fast anything is, is nobody's business here. */
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hearth, jsonOf } from '../support/cli.js';

let bin: string;
const log = (): string => join(bin, 'log');

beforeAll(async () => {
  bin = await mkdtemp(join(tmpdir(), 'hearth-bench-'));
  await engine(
    'podman',
    `case "$1" in
import) tar -tf - | grep -c . >> ${log()} ;;
run|rmi) echo "$*" >> ${log()} ;;
esac`,
  );
  await engine('docker', 'echo "nobody answers." >&2; exit 1');
});
afterAll(async () => rm(bin, { recursive: true, force: true }));

async function engine(name: string, script: string): Promise<void> {
  await writeFile(join(bin, name), `#!/bin/sh\n${script}\n`);
  await chmod(join(bin, name), 0o755);
}

const withEngines = () => ({ env: { PATH: `${bin}:${process.env.PATH}` } });

describe('hearth bench', () => {
  it('measures every kind of start in every round, and an engine with the same files', async () => {
    const words = ['bench', '--runs', '2', '--compare', 'podman,docker', '--json', 'debian:12'];
    const result = await hearth(words, withEngines());
    expect(result.exitCode, result.stderr).toBe(0);
    const document = jsonOf(result) as {
      figures: { name: string; medianMs: number; samplesMs: number[] }[];
      idleMemory: { privateBytes: number; proportionalBytes: number };
    };
    expect(document).toMatchObject({
      environment: 'debian:12',
      runs: 2,
      memoryMib: 512,
      ratios: {
        coldPerWarm: expect.any(Number),
        warmPerPodman: expect.any(Number),
        warmPerDocker: null,
        versionPerNode: expect.any(Number),
      },
      skipped: [{ name: 'docker', reason: 'docker ends with exit code 1: nobody answers' }],
    });
    expect(document.figures.map(({ name }) => name)).toEqual(['node', 'version', 'cold', 'warm', 'podman']);
    for (const { samplesMs } of document.figures) expect(samplesMs).toHaveLength(2);
    expect(document.idleMemory.privateBytes).toBeGreaterThan(1024 * 1024);
    const [files, first, second, third, removed, ...rest] = (await readFile(log(), 'utf8'))
      .trim()
      .split('\n');
    expect(Number(files)).toBeGreaterThan(1000);
    for (const line of [first, second, third])
      expect(line).toMatch(/^run --rm hearth-bench:[0-9a-f]{8} true$/);
    expect(removed).toMatch(/^rmi --force hearth-bench:/);
    expect(rest).toEqual([]);
  });

  it('prints a table that fits 80 columns', async () => {
    const { exitCode, stdout } = await hearth(['bench', '--runs', '1', 'debian:12']);
    expect(exitCode).toBe(0);
    const lines = stdout.toString().split('\n');
    expect(lines[0]).toMatch(/^`true` in a fresh VM of debian:12 \(512 MiB, (?:tcg|kvm)\), 1 round$/);
    expect(stdout.toString()).toMatch(/^hearth run +\S+ m?s +\S+ m?s +\S+ m?s +1\.00$/m);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  it.each([['0'], ['1001'], ['-1'], ['x'], ['1.5']])('refuses --runs %s', async (runs) => {
    const result = await hearth(['bench', `--runs=${runs}`, '--json', 'debian:12']);
    expect(result.exitCode).toBe(2);
    expect(jsonOf(result)).toMatchObject({ error: { code: 'USAGE_INVALID' } });
  });
});
