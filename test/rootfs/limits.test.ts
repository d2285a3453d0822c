import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { assertClean, run } from '../conformance/image-to-ext4/read-back.js';
import { dir, END, entry, header } from './support/tar-builder.js';

const PEAK_MIB = 256;
let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'hearth-limits-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Writes a layer of `count` files of `bodyBytes` bytes each, named by `nameOf`. */
function writeLayer(name: string, count: number, bodyBytes: number, nameOf: (i: number) => string): string {
  const path = join(directory, name);
  const fd = openSync(path, 'w');
  const body = Buffer.alloc(Math.ceil(bodyBytes / 512) * 512);
  for (let i = 0; i < bodyBytes; i += 1) body[i] = Math.imul(i, 7919) >>> 5;
  writeSync(fd, entry(dir('d')));
  let pending: Buffer[] = [];
  for (let i = 0; i < count; i += 1) {
    body.writeUInt32LE(i, 0);
    pending.push(
      header({ path: nameOf(i), mtime: i }, bodyBytes),
      Buffer.from(body.subarray(0, bodyBytes === 0 ? 0 : body.byteLength)),
    );
    if (pending.length < 1000 && i + 1 < count) continue;
    writeSync(fd, Buffer.concat(pending));
    pending = [];
  }
  writeSync(fd, END);
  closeSync(fd);
  return path;
}

interface Measured {
  readonly peakMib: number;
  /** Processor time, which other work on the machine does not lengthen. */
  readonly cpuMs: number;
  readonly entryCount: number;
  readonly contentBytes: number;
  /** By all write calls of the process. */
  readonly writtenBytes: number;
}

/** Builds in a process of its own, compiled, and says what it took. */
function measure(layers: readonly string[], outputPath: string): Measured {
  const script = fileURLToPath(new URL('./support/measure-build.mjs', import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, outputPath, ...layers], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Measured;
}

describe('large images', () => {
  it('200,000 entries in one directory: indexed, in under 10 s and 256 MiB', () => {
    const layer = writeLayer('wide', 200_000, 1, (i) => `d/entry-${i}`);
    const outputPath = join(directory, 'wide.ext4');
    const { peakMib, cpuMs, entryCount } = measure([layer], outputPath);
    expect(entryCount).toBe(200_001);
    expect(peakMib).toBeLessThan(PEAK_MIB);
    expect(cpuMs).toBeLessThan(10_000);
    assertClean(outputPath);
    expect(run('debugfs', ['-R', 'stat /d', outputPath])).toMatch(/Flags: 0x81000/);
    expect(run('debugfs', ['-R', 'stat /d/entry-123456', outputPath])).toMatch(/Type: regular/);
  });

  it('many layers of much content, in under 256 MiB, written once', () => {
    const layers = [0, 1, 2].map((n) => writeLayer(`layer-${n}`, 600, 400_000, (i) => `d/${n}-${i}`));
    const outputPath = join(directory, 'large.ext4');
    const { peakMib, contentBytes, writtenBytes } = measure(layers, outputPath);
    expect(peakMib).toBeLessThan(PEAK_MIB);
    expect(contentBytes).toBeGreaterThan(700_000_000);
    expect(writtenBytes).toBeLessThan(1.05 * contentBytes);
    assertClean(outputPath);
  });
});
