import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hashFile } from '../../src/disks/index.js';
import { transpileSources } from '../support/transpile.js';
import { type Bench, openBench } from './support.js';

const MIB = 1024 ** 2;
/** A program that works on for as long as its bench is there, without a time limit of its own. */
const UNTIL_RELEASED = 'while [ -e "$0" ]; do sleep 0.1; done';

let compiled: string;
beforeAll(async () => {
  compiled = await transpileSources();
});
afterAll(() => rmSync(compiled, { recursive: true, force: true }));

function startChild(bench: Bench, resize2fsPath: string, call: readonly unknown[]): ChildProcess {
  const { templateDir, clonesDir } = bench;
  const settings = JSON.stringify({ templateDir, clonesDir, resize2fsPath });
  const script = join(import.meta.dirname, 'child.mjs');
  const args = [script, join(compiled, 'src/disks/index.js'), settings, JSON.stringify(call)];
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
}

/** Kills a process that makes the call, `afterMs` after its copy was seen (or the call was over). */
async function killDuringCopy(bench: Bench, call: readonly unknown[], afterMs: number) {
  const child = startChild(bench, 'resize2fs', call);
  const exit = once(child, 'exit');
  await once(child.stdout!, 'data');
  while (staged(bench).length === 0 && child.exitCode === null) await sleep(1);
  if (afterMs > 0) await sleep(afterMs);
  child.kill('SIGKILL');
  await exit;
}

function staged(bench: Bench): string[] {
  const staging = join(bench.clonesDir, '.staging');
  return existsSync(staging) ? readdirSync(staging) : [];
}

describe('kill -9', () => {
  it('in a sparse copy, at any moment, leaves no half clone, and the next call makes a whole one', async () => {
    const bench = openBench();
    const template = bench.putTemplate('debian', Buffer.alloc(192 * MIB, 7));
    const before = await hashFile(template);
    const options = { rungs: ['sparse-copy'] };
    let killedInside = 0;
    const waitsMs = [5, 10, 20, 40, 80, 160, 320];
    // Whether a kill comes before the copy is over is the scheduler's to say: as often as it takes.
    for (let round = 0; round < waitsMs.length || (killedInside === 0 && round < 100); round++) {
      await killDuringCopy(bench, ['cloneForVm', 'vm', 'debian', options], waitsMs[round] ?? 0);
      if (staged(bench).length > 0) killedInside += 1;
      for (const { path } of await bench.registry.clones()) expect(await hashFile(path)).toBe(before);
      const clone = await bench.registry.cloneForVm('vm', 'debian', { rungs: ['sparse-copy'] });
      expect(await hashFile(clone.path)).toBe(before);
      expect(staged(bench)).toEqual([]);
      await bench.registry.release('vm');
    }
    expect(killedInside).toBeGreaterThan(0);
    expect(await hashFile(template)).toBe(before);
  });

  it('in a resize leaves a new clone not there and an old one as it was', async () => {
    const bench = openBench();
    const template = bench.putTemplate('debian', '');
    execFileSync('mke2fs', ['-q', '-t', 'ext4', '-b', '4096', template, '16M']);
    const before = await hashFile(template);
    const slow = bench.fakeResize2fs(UNTIL_RELEASED);
    const registry = bench.another({ resize2fsPath: 'resize2fs' });
    await registry.cloneForVm('old', 'debian');
    for (const vmId of ['new', 'old']) {
      const calls = bench.calls().length;
      const child = startChild(bench, slow, ['cloneForVmWithSize', vmId, 'debian', 64 * MIB]);
      const exit = once(child, 'exit');
      while (bench.calls().length === calls) await sleep(10);
      child.kill('SIGKILL');
      await exit;
      expect((await registry.clones()).map((clone) => clone.vmId)).toEqual(['old']);
      expect(await hashFile((await registry.inspect('old')).path)).toBe(before);

      const clone = await registry.cloneForVmWithSize(vmId, 'debian', 64 * MIB);
      expect(clone).toMatchObject({ sizeBytes: 64 * MIB, growth: 'offline' });
      execFileSync('e2fsck', ['-fn', clone.path], { stdio: 'pipe' });
      const dump = execFileSync('dumpe2fs', ['-h', clone.path], { stdio: 'pipe' }).toString();
      expect(/^Block count:\s+(\d+)/m.exec(dump)?.[1]).toBe(String((64 * MIB) / 4096));
      await registry.release(vmId);
      if (vmId === 'new') expect(staged(bench)).toEqual([]);
    }
  });

  it('frees the lock at once', async () => {
    const bench = openBench();
    bench.putTemplate('debian', Buffer.alloc(4096, 7));
    const child = startChild(bench, bench.fakeResize2fs(UNTIL_RELEASED), [
      ...['cloneForVmWithSize', 'vm', 'debian', 8192],
    ]);
    const exit = once(child, 'exit');
    while (bench.calls().length === 0) await sleep(10);
    await expect(bench.registry.cloneForVm('vm', 'debian', { timeoutMs: 50 })).rejects.toMatchObject({
      code: 'STORE_LOCKED',
    });
    child.kill('SIGKILL');
    await exit;
    const clone = await bench.registry.cloneForVm('vm', 'debian', { timeoutMs: 30_000 });
    expect(clone.sizeBytes).toBe(4096);
  });
});

describe('defect 7: processes', () => {
  it('that clone one id at once get one disk', async () => {
    const bench = openBench();
    bench.putTemplate('debian', Buffer.alloc(8 * MIB, 7));
    const children = Array.from({ length: 4 }, () =>
      startChild(bench, 'resize2fs', ['cloneForVm', 'vm', 'debian']),
    );
    const outputs = await Promise.all(
      children.map(async (child) => {
        let output = '';
        for await (const chunk of child.stdout!) output += String(chunk);
        return output;
      }),
    );
    expect(new Set(outputs).size).toBe(1);
    expect(JSON.parse(outputs[0]!.split('\n')[1]!)).toEqual(await bench.registry.inspect('vm'));
  });
});
