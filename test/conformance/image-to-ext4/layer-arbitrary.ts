/** Random stacks of layers over few names, so that everything that can collide does. */
import fc from 'fast-check';
import {
  dir,
  type EntrySpec,
  file,
  hardlink,
  opaque,
  symlink,
  whiteout,
} from '../../rootfs/support/tar-builder.js';
import { ModelFailure, mergeByModel } from './model.js';

const name = fc.constantFrom('a', 'b', 'c', 'd');
const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
const awkwardPath = fc.oneof(
  { weight: 20, arbitrary: path },
  { weight: 1, arbitrary: path.map((p) => `./${p}`) },
  { weight: 1, arbitrary: path.map((p) => `/${p}`) },
  { weight: 1, arbitrary: path.map((p) => `../${p}`) },
  { weight: 1, arbitrary: fc.tuple(path, path).map(([p, q]) => `${p}/../${q}`) },
);
const target = fc.oneof(
  { weight: 4, arbitrary: path },
  { weight: 2, arbitrary: path.map((p) => `/${p}`) },
  { weight: 2, arbitrary: path.map((p) => `../${p}`) },
  { weight: 1, arbitrary: fc.constantFrom('.', '..', '/', 'a/../..', 'missing/../a') },
);
const attributes = fc.record({
  mode: fc.constantFrom(0o644, 0o755, 0o4755, 0o1777),
  uid: fc.constantFrom(0, 1000, 70_000),
  mtime: fc.nat(3),
});
const body = fc.nat(999).map((n) => `body ${n}`);

const entrySpec: fc.Arbitrary<EntrySpec> = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(awkwardPath, body, attributes).map(([p, b, more]) => file(p, b, more)) },
  { weight: 5, arbitrary: fc.tuple(awkwardPath, attributes).map(([p, more]) => dir(p, more)) },
  { weight: 4, arbitrary: fc.tuple(awkwardPath, target).map(([p, t]) => symlink(p, t)) },
  { weight: 4, arbitrary: fc.tuple(awkwardPath, awkwardPath).map(([p, t]) => hardlink(p, t)) },
  { weight: 1, arbitrary: path.map((p) => ({ path: p, type: '6' })) },
  { weight: 3, arbitrary: path.map(whiteout) },
  { weight: 2, arbitrary: fc.oneof(path, fc.constant('')).map(opaque) },
);

/** Any stack, most of them malformed somewhere. */
export const layerStack: fc.Arbitrary<EntrySpec[][]> = fc.array(fc.array(entrySpec, { maxLength: 10 }), {
  minLength: 1,
  maxLength: 4,
});

/** Stacks that merge: links lead to names that were there, and what would be refused is left out. */
export const mergeableStack: fc.Arbitrary<EntrySpec[][]> = fc
  .tuple(layerStack, fc.array(fc.nat(999), { minLength: 16, maxLength: 16 }))
  .map(([layers, picks]) => withoutRefusals(withLinkTargets(layers, picks)));

function withLinkTargets(layers: EntrySpec[][], picks: readonly number[]): EntrySpec[][] {
  const files: string[] = [];
  let links = 0;
  return layers.map((layer) =>
    layer.map((spec) => {
      if (spec.type === '1' && files.length > 0) {
        links += 1;
        return { ...spec, linkTarget: files[(picks[links % picks.length] ?? 0) % files.length] ?? '' };
      }
      if (spec.type !== '5' && !spec.path.includes('.wh.')) files.push(spec.path);
      return spec;
    }),
  );
}

function withoutRefusals(layers: EntrySpec[][]): EntrySpec[][] {
  const kept: EntrySpec[][] = [];
  for (const layer of layers) {
    const keptLayer: EntrySpec[] = [];
    kept.push(keptLayer);
    for (const spec of layer) {
      keptLayer.push(spec);
      try {
        mergeByModel(kept);
      } catch (error) {
        if (!(error instanceof ModelFailure)) throw error;
        keptLayer.pop();
      }
    }
  }
  return kept;
}
