/** Many processes at one store, and processes killed at every phase. Reliability rows 1, 2, 4, 5, 16 and 18. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Environment } from '../../src/environments/index.js';
import { startRegistry, type TestRegistry } from '../support/registry.js';
import { imageOf, layerOf, noise, pushImages } from '../support/registry-images.js';
import { transpileSources } from '../support/transpile.js';
import { type Bench, catalogDocument, listOf, openBench, writeFakeKernel } from './support.js';

const SHARED = layerOf({ 'bin/large': noise(6 * 1024 ** 2) }, 0);
const IMAGE = imageOf([SHARED, layerOf({ 'etc/motd': 'one' })]);
const SECOND = imageOf([SHARED, SHARED, layerOf({ 'etc/motd': 'two' })]);
const DOCUMENT = catalogDocument([{ type: 'profile', profile: 'none' }]);

let compiled: string;
let registry: TestRegistry;
beforeAll(async () => {
  compiled = await transpileSources();
  registry = await startRegistry();
  await pushImages(registry, 'image', 'one', [IMAGE]);
  await pushImages(registry, 'image', 'two', [SECOND]);
});
afterAll(async () => {
  rmSync(compiled, { recursive: true, force: true });
  await registry.stop();
});
beforeEach(() => registry.forget());

interface Run {
  readonly child: ChildProcess;
  /** Exit code and both outputs, when it has ended. */
  readonly ended: Promise<{
    readonly code: number | null;
    readonly lines: string[];
    readonly errors: string;
  }>;
  /** Resolves when the process says that it is in that step. */
  reached(step: string): Promise<void>;
}

function start(bench: Bench, method: string, args: readonly unknown[], settings: object = {}): Run {
  const kernel = join(bench.root, 'kernel.json');
  writeFileSync(kernel, JSON.stringify(writeFakeKernel(join(bench.root, 'kernels'), 'debian-12-cloud')));
  const all = { home: bench.root, agentPath: bench.agentPath, kernel, document: DOCUMENT, ...settings };
  const script = join(import.meta.dirname, 'child.mjs');
  const child = spawn(
    process.execPath,
    [script, compiled, JSON.stringify(all), method, JSON.stringify(args)],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let output = '';
  let errors = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  const ended = once(child, 'close').then(([code]) => ({ code, lines: output.trim().split('\n'), errors }));
  return {
    child,
    ended,
    reached: async (step) => {
      while (!output.includes(`phase ${step}\n`)) {
        if (child.exitCode !== null) throw new Error(`it ended before ${step}: ${errors}`);
        await sleep(5);
      }
    },
  };
}

async function resultOf(run: Run): Promise<Environment> {
  const { code, lines, errors } = await run.ended;
  expect(errors).toBe('');
  expect(code).toBe(0);
  return JSON.parse(lines.at(-1)!);
}

/** How often each blob was fetched. */
function fetchesByBlob(): number[] {
  const counts = new Map<string, number>();
  for (const line of registry.requests()) {
    const digest = /^GET .*\/blobs\/(\S+)$/.exec(line)?.[1];
    if (digest !== undefined) counts.set(digest, (counts.get(digest) ?? 0) + 1);
  }
  return [...counts.values()];
}

function referenceOf(tag: string): string {
  return `${registry.host}/image:${tag}`;
}

/** The bytes of an undisturbed pull. */
async function undisturbedDigest(tag: string): Promise<string> {
  const bench = openBench();
  const { rootfsDigest } = await resultOf(start(bench, 'pull', [referenceOf(tag)]));
  registry.forget();
  return rootfsDigest!;
}

/** No process holds the lock: flock(2) would otherwise be refused. */
function expectClean(bench: Bench, count: number): void {
  expect(bench.entries()).toHaveLength(count);
  expect(bench.entries().filter((name) => name.startsWith('.'))).toEqual([]);
  const ingest = listOf(join(bench.paths.cache, 'blobs', 'ingest'));
  expect(ingest.filter((name) => name.endsWith('.tmp'))).toEqual([]);
}

describe('sixteen processes', () => {
  it('4: that pull one reference share one download per blob, one install, and all succeed', async () => {
    const bench = openBench();
    const runs = Array.from({ length: 16 }, () => start(bench, 'pull', [referenceOf('one')]));
    const environments = await Promise.all(runs.map(resultOf));
    expect(new Set(environments.map(({ directory }) => directory)).size).toBe(1);
    expect(new Set(environments.map(({ installedAt }) => installedAt)).size).toBe(1);
    expect(fetchesByBlob()).toEqual([1, 1, 1]);
    expectClean(bench, 1);
  });

  it('5: that pull images which share layers fetch each once and do not wait for each other for ever', async () => {
    const bench = openBench();
    const runs = Array.from({ length: 8 }, (_, index) =>
      start(bench, 'ensureInstalled', [referenceOf(index % 2 === 0 ? 'one' : 'two')]),
    );
    const environments = await Promise.all(runs.map(resultOf));
    expect(new Set(environments.map(({ name }) => name))).toEqual(new Set(['image-one', 'image-two']));
    expect(fetchesByBlob()).toEqual([1, 1, 1, 1, 1]);
    expectClean(bench, 2);
  });
});

describe('kill -9', () => {
  const STEPS = ['resolve', 'download', 'download-bytes', 'convert', 'convert-bytes', 'install'];

  it.each(STEPS)(
    '1: in %s leaves nothing valid-looking; the next pull succeeds with the same bytes',
    async (step) => {
      const digest = await undisturbedDigest('one');
      const bench = openBench();
      const run = start(bench, 'pull', [referenceOf('one')], { stopAt: step });
      await run.reached(step);
      run.child.kill('SIGKILL');
      await run.ended;
      expect(bench.entries().filter((name) => !name.startsWith('.partial-'))).toEqual([]);
      const store = await bench.open();
      expect((await store.list()).filter(({ installed }) => installed)).toEqual([]);

      const again = await resultOf(start(bench, 'pull', [referenceOf('one')]));
      expect(again.rootfsDigest).toBe(digest);
      expect((await store.verify(['image-one']))[0]).toMatchObject({ ok: true });
      expectClean(bench, 1);
    },
  );

  it('1 2: at any other moment leaves an install that is absent or whole', async () => {
    const digest = await undisturbedDigest('one');
    const began = performance.now();
    await resultOf(start(openBench(), 'pull', [referenceOf('one')]));
    const tookMs = performance.now() - began;
    const POINTS = Number(process.env.HEARTH_KILL_POINTS ?? 12);
    const bench = openBench();
    for (let point = 0; point < POINTS; point += 1) {
      const run = start(bench, 'pull', [referenceOf('one')]);
      await Promise.race([sleep((tookMs * (point + 1)) / POINTS), run.ended]);
      run.child.kill('SIGKILL');
      await run.ended;
      const store = await bench.open();
      for (const { ok, problems } of await store.verify([], { all: true }))
        expect({ ok, problems }).toEqual({ ok: true, problems: [] });
      if (bench.entries().some((name) => !name.startsWith('.'))) await store.remove('image-one');
    }
    const environment = await resultOf(start(bench, 'pull', [referenceOf('one')]));
    expect(environment.rootfsDigest).toBe(digest);
    expectClean(bench, 1);
  });

  it('4: of one that holds the lock lets the next one go on at once', async () => {
    const bench = openBench();
    const holder = start(bench, 'pull', [referenceOf('one')], { stopAt: 'install' });
    await holder.reached('install');
    const waiting = start(bench, 'pull', [referenceOf('one')]);
    await waiting.reached('resolve');
    await sleep(300);
    expect(waiting.child.exitCode).toBe(null);
    holder.child.kill('SIGKILL');
    await holder.ended;
    const killedAt = performance.now();
    await resultOf(waiting);
    expect(performance.now() - killedAt).toBeLessThan(120_000);
    expect(fetchesByBlob()).toEqual([1, 1, 1]);
    expectClean(bench, 1);
  });

  it('a pull of another name removes what a killed one left, and leaves a live one alone', async () => {
    const bench = openBench();
    const dead = start(bench, 'pull', [referenceOf('one')], { stopAt: 'convert' });
    await dead.reached('convert');
    dead.child.kill('SIGKILL');
    await dead.ended;
    expect(bench.entries()).toEqual([expect.stringMatching(/^\.partial-image-one-/)]);
    const live = start(bench, 'pull', [referenceOf('two'), { name: 'live' }].slice(0, 1), {
      stopAt: 'convert',
    });
    await live.reached('convert');
    const store = await bench.open();
    expect(bench.entries()).toEqual([expect.stringMatching(/^\.partial-image-two-/)]);
    expect(await store.prune()).toMatchObject({ count: 0 });
    expect(bench.entries()).toHaveLength(1);
    live.child.kill('SIGKILL');
    await live.ended;
    expect(await store.prune()).toMatchObject({ count: 1, removed: [{ reason: 'partial' }] });
    expect(bench.entries()).toEqual([]);
  });
});

describe('readers', () => {
  it('never see half an install while it is replaced again and again', async () => {
    const bench = openBench();
    const { name } = await resultOf(start(bench, 'pull', [referenceOf('one')]));
    const store = await bench.open();
    let isReplacing = true;
    let reads = 0;
    const replacing = (async () => {
      for (let round = 0; round < 6 || (reads <= 3 && round < 100); round += 1)
        await store.pull(referenceOf('one'), { force: true });
      isReplacing = false;
    })();
    while (isReplacing) {
      reads += 1;
      for (const directory of readdirSync(join(bench.paths.data, 'environments', 'linux-x86_64'))) {
        if (directory.startsWith('.')) continue;
        const path = join(bench.paths.data, 'environments', 'linux-x86_64', directory, 'environment.json');
        try {
          JSON.parse(readFileSync(path, 'utf8'));
        } catch (error) {
          expect(error).toMatchObject({ code: 'ENOENT' });
        }
      }
      const found = (await store.list()).find((one) => one.name === name);
      if (found !== undefined) expect(found.state).toBe('installed');
    }
    await replacing;
    expect(reads).toBeGreaterThan(3);
  });
});
