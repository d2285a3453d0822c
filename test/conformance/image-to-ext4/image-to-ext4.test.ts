import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildRootfs } from '../../../src/rootfs/index.js';
import { gzipLayer, type LayerSpec, makeImage } from '../../rootfs/support/image-builder.js';
import { tar } from '../../rootfs/support/tar-builder.js';
import { ATTRIBUTE_CASES } from './attribute-cases.js';
import { CONTAINED_CASES, HOSTILE_CASES } from './hostile-cases.js';
import { mergeableStack } from './layer-arbitrary.js';
import { MERGE_CASES, REFUSAL_CASES } from './merge-cases.js';
import { describeInode, describeModel, type ModelInode, mergeByModel } from './model.js';
import { assertClean, type BackNode, linesOf, readMounted, readWithDebugfs } from './read-back.js';
import { UMOCI_DIFFERS, unpackWithUmoci } from './umoci.js';

const isRoot = process.getuid?.() === 0;
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hearth-conformance-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** Builds the layers and hands the image to `judge` after e2fsck has passed it. */
async function build(
  layers: readonly LayerSpec[],
  judge: (path: string) => void,
  limits = {},
): Promise<void> {
  const work = await mkdtemp(join(directory, 'image-'));
  const outputPath = join(work, 'rootfs.ext4');
  try {
    await buildRootfs(await makeImage(work, layers), { outputPath, ...limits });
    assertClean(outputPath);
    judge(outputPath);
  } finally {
    const left = (await readdir(work)).filter((name) => name.endsWith('.partial'));
    await rm(work, { recursive: true, force: true });
    expect(left).toEqual([]);
  }
}

function judgeLines(path: string, expected: readonly string[]): void {
  expect(linesOf(readWithDebugfs(path))).toEqual(expected);
  if (isRoot) expect(linesOf(readMounted(path))).toEqual(expected);
}

describe('layers → ext4', () => {
  it.each(MERGE_CASES)('%s', async (_rule, layers, expected) => {
    await build(
      layers.map((layer) => gzipLayer(tar(...layer))),
      (path) => judgeLines(path, expected),
    );
  });

  it.each(ATTRIBUTE_CASES)('keeps %s', async (_what, entries, expected) => {
    await build([gzipLayer(tar(...entries))], (path) => {
      const nodes = new Map<string, BackNode>(
        (isRoot ? readMounted(path) : readWithDebugfs(path)).map((node) => [node.path, node]),
      );
      for (const [name, facts] of Object.entries(expected)) expect(nodes.get(name)).toMatchObject(facts);
    });
  });

  it.each(CONTAINED_CASES)('contains %s', async (_what, bytes, lines) => {
    await build([gzipLayer(bytes)], (path) => judgeLines(path, lines));
  });

  it.each(REFUSAL_CASES)('refuses %s', async (_what, layers, code) => {
    const blobs = layers.map((layer) => gzipLayer(tar(...layer)));
    await expect(build(blobs, () => undefined)).rejects.toMatchObject({ code });
  });

  it.each(HOSTILE_CASES)('refuses $what', async ({ layers, code, details, limits }) => {
    const refused = build(layers(), () => undefined, limits);
    await expect(refused).rejects.toMatchObject({ code, ...(details === undefined ? {} : { details }) });
  });

  it.each(MERGE_CASES)('umoci, unless stated: %s', (rule, layers, expected) => {
    const nodes = unpackWithUmoci(layers.map((layer) => tar(...layer)));
    const lines = nodes === undefined ? ['refused'] : linesOf(nodes);
    if (rule in UMOCI_DIFFERS) expect(lines).not.toEqual(expected);
    else expect(lines).toEqual(expected);
  });

  it.each(REFUSAL_CASES)('umoci, unless stated, refuses %s', (what, layers) => {
    const isRefused = unpackWithUmoci(layers.map((layer) => tar(...layer))) === undefined;
    expect(isRefused).toBe(!(what in UMOCI_DIFFERS));
  });

  it('agrees with the kernel and the model for random stacks of layers', { timeout: 3_600_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(mergeableStack, async (layers) => {
        const expected = describeModel(mergeByModel(layers));
        await build(
          layers.map((layer) => gzipLayer(tar(...layer))),
          (path) => {
            expect(describeBack(isRoot ? readMounted(path) : readWithDebugfs(path))).toEqual(expected);
          },
        );
      }),
      { numRuns: Number(process.env.HEARTH_RANDOM_STACKS ?? 25) },
    );
  });
});

/** As `describeModel`, of what was read back. */
function describeBack(nodes: readonly BackNode[]): string[] {
  const numbers = new Map<number, number>();
  return nodes.map((node) => {
    if (!numbers.has(node.inode)) numbers.set(node.inode, numbers.size);
    const { path, kind, mode, uid, gid, mtimeNs, body, target, device } = node;
    const inode = { kind, mode, uid, gid, mtime: Number(mtimeNs / 1_000_000_000n), body, target, device };
    return describeInode(
      path,
      inode as ModelInode,
      kind === 'directory' ? 0 : (numbers.get(node.inode) ?? 0),
    );
  });
}
