/** Runs the merge over tars in memory, as the converter does over blobs, and describes the tree. */
import type { Ext4Directory, Ext4File, Ext4Node } from '../../../src/ext4/index.js';
import { LayerMerger, type LayerMergerOptions } from '../../../src/layers/index.js';
import { type TarEntry, TarReader } from '../../../src/tar/index.js';

export interface MergedTars {
  readonly root: Ext4Directory;
  readonly bodies: ReadonlyMap<Ext4Node, string>;
  /** Bytes of bodies that were stored on the first pass. */
  readonly storedBytes: number;
  /** Bodies that a second pass had to fetch. */
  readonly fetchedCount: number;
}

/** @param tars Base layer first. */
export function mergeTars(tars: readonly Buffer[], options: Partial<LayerMergerOptions> = {}): MergedTars {
  const merger = new LayerMerger({ layerCount: tars.length, ...options });
  const bodies = new Map<Ext4Node, string>();
  let storedBytes = 0;
  const read = (bytes: Buffer | undefined, choose: (entry: TarEntry) => Ext4File | undefined): void => {
    let file: Ext4File | undefined;
    let body = Buffer.alloc(0);
    const reader = new TarReader({
      onEntry(entry) {
        file = choose(entry);
        if (file !== undefined) body = Buffer.alloc(entry.sizeBytes);
      },
      onData: (data, offset) => {
        if (file !== undefined) body.set(data, offset);
      },
      onFileEnd() {
        if (file === undefined) return;
        bodies.set(file, body.toString('latin1'));
        storedBytes += body.byteLength;
      },
    });
    reader.push(bytes ?? Buffer.alloc(0));
    reader.finish();
  };
  for (const bytes of tars.toReversed()) {
    read(bytes, (entry) => merger.add(entry));
    merger.endLayer();
  }
  const { root, missing } = merger.finish();
  const firstPassBytes = storedBytes;
  let fetchedCount = 0;
  for (const { layerIndex, bodies: wanted } of missing) {
    let ordinal = 0;
    fetchedCount += wanted.size;
    read(tars[layerIndex], () => wanted.get(ordinal++));
  }
  return { root, bodies, storedBytes: firstPassBytes, fetchedCount };
}

/** Every name of a tree with its node, sorted by path; the root is `''`. */
export function namesOf(root: Ext4Directory): Array<[path: string, node: Ext4Node]> {
  const names: Array<[string, Ext4Node]> = [['', root]];
  const pending: Array<[string, Ext4Directory]> = [['', root]];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const [path, directory] = next;
    for (const [name, node] of directory.children) {
      names.push([`${path}/${name}`, node]);
      if (node.kind === 'directory') pending.push([`${path}/${name}`, node]);
    }
  }
  return names.sort((a, b) => (a[0] < b[0] ? -1 : 1));
}
