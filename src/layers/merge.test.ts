import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { layerStack, mergeableStack } from '../../test/conformance/image-to-ext4/layer-arbitrary.js';
import {
  describeInode,
  describeModel,
  type ModelInode,
  mergeByModel,
} from '../../test/conformance/image-to-ext4/model.js';
import { type MergedTars, mergeTars, namesOf } from '../../test/rootfs/support/merge-tars.js';
import {
  dir,
  type EntrySpec,
  file,
  hardlink,
  opaque,
  symlink,
  tar,
  whiteout,
} from '../../test/rootfs/support/tar-builder.js';
import type { Ext4Node } from '../ext4/index.js';

function merge(...layers: ReadonlyArray<readonly EntrySpec[]>): MergedTars {
  return mergeTars(layers.map((layer) => tar(...layer)));
}

/** `path kind body` of every name but the root; names of one inode share a number. */
function listing(merged: MergedTars): string[] {
  const numbers = new Map<Ext4Node, number>();
  return namesOf(merged.root)
    .slice(1)
    .map(([path, node]) => {
      if (node.kind === 'directory') return `${path}/`;
      if (node.kind === 'symlink') return `${path} -> ${Buffer.from(node.target).toString('latin1')}`;
      if (!numbers.has(node)) numbers.set(node, numbers.size);
      return `${path} = ${merged.bodies.get(node) ?? node.kind} #${numbers.get(node)}`;
    });
}

function describeProduct(merged: MergedTars): string[] {
  const numbers = new Map<Ext4Node, number>();
  return namesOf(merged.root).map(([path, node]) => {
    if (!numbers.has(node)) numbers.set(node, numbers.size);
    const isDevice = node.kind === 'character' || node.kind === 'block';
    const inode: ModelInode = {
      kind: node.kind as ModelInode['kind'],
      mode: node.mode,
      uid: node.uid,
      gid: node.gid,
      mtime: node.mtime.seconds,
      body: merged.bodies.get(node) ?? '',
      target: node.kind === 'symlink' ? Buffer.from(node.target).toString('latin1') : '',
      device: isDevice ? `${node.major},${node.minor}` : '',
    };
    return describeInode(path, inode, node.kind === 'directory' ? 0 : (numbers.get(node) ?? 0));
  });
}

function codeOf(run: () => unknown): string | undefined {
  try {
    run();
  } catch (error) {
    return (error as { code?: string }).code ?? `not coded: ${String(error)}`;
  }
  return undefined;
}

describe('LayerMerger', () => {
  const rules: ReadonlyArray<[name: string, layers: EntrySpec[][], expected: string[]]> = [
    ['an upper file replaces a lower one', [[file('a', '1')], [file('a', '2')]], ['/a = 2 #0']],
    ['a whiteout removes a lower file', [[file('a', '1'), file('b', '2')], [whiteout('a')]], ['/b = 2 #0']],
    ['a whiteout removes a lower tree', [[file('d/e/f', '1')], [whiteout('d')]], []],
    [
      'a whiteout does not act on its own layer, before',
      [[], [whiteout('a'), file('a', '2')]],
      ['/a = 2 #0'],
    ],
    ['a whiteout does not act on its own layer, after', [[], [file('a', '2'), whiteout('a')]], ['/a = 2 #0']],
    [
      'a whiteout hides the old content of a directory made anew',
      [[file('d/old', '1')], [dir('d'), file('d/new', '2'), whiteout('d')]],
      ['/d/', '/d/new = 2 #0'],
    ],
    ['a whiteout of nothing is nothing', [[file('a', '1')], [whiteout('b'), whiteout('c/d')]], ['/a = 1 #0']],
    ['whiteouts in the base act on nothing', [[whiteout('a'), file('a', '1'), opaque('')]], ['/a = 1 #0']],
    [
      'an opaque directory after its siblings hides only lower layers',
      [[file('d/old', '1')], [dir('d'), file('d/new', '2'), opaque('d')]],
      ['/d/', '/d/new = 2 #0'],
    ],
    ['an opaque root', [[file('a', '1')], [opaque(''), file('b', '2')]], ['/b = 2 #0']],
    ['opaque keeps the directory itself', [[file('d/x', '1')], [opaque('d')]], ['/d/']],
    [
      "an opaque directory in the place of a link leaves the link's target alone",
      [
        [dir('usr/lib'), file('usr/lib/x', '1'), symlink('lib', 'usr/lib')],
        [dir('lib'), opaque('lib'), file('lib/y', '2')],
      ],
      ['/lib/', '/lib/y = 2 #0', '/usr/', '/usr/lib/', '/usr/lib/x = 1 #1'],
    ],
    [
      'a whiteout under a name that becomes a link acts on the lower directory',
      [
        [file('usr/lib/x', '1'), file('lib/x', '2')],
        [symlink('lib', 'usr/lib'), whiteout('lib/x')],
      ],
      ['/lib -> usr/lib', '/usr/', '/usr/lib/', '/usr/lib/x = 1 #0'],
    ],
    [
      'parents are links of a lower layer',
      [[dir('usr/lib'), symlink('lib', 'usr/lib')], [file('lib/x', '1')]],
      ['/lib -> usr/lib', '/usr/', '/usr/lib/', '/usr/lib/x = 1 #0'],
    ],
    [
      'a whiteout follows links of a lower layer',
      [[file('usr/lib/x', '1'), symlink('lib', 'usr/lib')], [whiteout('lib/x')]],
      ['/lib -> usr/lib', '/usr/', '/usr/lib/'],
    ],
    [
      'the last part of a whiteout is not followed',
      [[file('a', '1'), symlink('l', 'a')], [whiteout('l')]],
      ['/a = 1 #0'],
    ],
    [
      'a directory replaces a link',
      [[file('a/x', '1'), symlink('l', 'a')], [dir('l')]],
      ['/a/', '/a/x = 1 #0', '/l/'],
    ],
    ['a file replaces a directory', [[file('d/x', '1')], [file('d', '2')]], ['/d = 2 #0']],
    ['a directory replaces a file', [[file('d', '1')], [dir('d'), file('d/x', '2')]], ['/d/', '/d/x = 2 #0']],
    ['a link replaces a directory', [[file('d/x', '1')], [symlink('d', '/e')]], ['/d -> /e']],
    ['a missing parent replaces a file', [[file('d', '1')], [file('d/x', '2')]], ['/d/', '/d/x = 2 #0']],
    ['a directory keeps its children', [[file('d/x', '1')], [dir('d')]], ['/d/', '/d/x = 1 #0']],
    ['the last duplicate wins', [[file('a', '1'), file('a', '2')]], ['/a = 2 #0']],
    [
      'the last duplicate wins, whatever the kinds',
      [[file('a', '1'), dir('a'), file('a/b', '2'), symlink('a', 'x')]],
      ['/a -> x'],
    ],
    [
      'dangling links lead to implied directories',
      [[symlink('l', 'x/y'), file('l/f', '1')]],
      ['/l -> x/y', '/x/', '/x/y/', '/x/y/f = 1 #0'],
    ],
    [
      'links to the outside stay inside',
      [[symlink('l', '../../x'), file('l/f', '1')]],
      ['/l -> ../../x', '/x/', '/x/f = 1 #0'],
    ],
    [
      'absolute links start at the root',
      [[symlink('d/l', '/'), file('d/l/f', '1')]],
      ['/d/', '/d/l -> /', '/f = 1 #0'],
    ],
    [
      'a missing part before .. leaves no trace',
      [[symlink('l', 'x/../y'), file('l/f', '1')]],
      ['/l -> x/../y', '/y/', '/y/f = 1 #0'],
    ],
    [
      '.. in names stops at the root',
      [[file('../../a', '1'), file('/b', '2'), file('d/../../c', '3')]],
      ['/a = 1 #0', '/b = 2 #1', '/c = 3 #2'],
    ],
    ['hard links share an inode', [[file('a', '1'), hardlink('b', 'a')]], ['/a = 1 #0', '/b = 1 #0']],
    ['hard links to links', [[symlink('l', 'x'), hardlink('m', 'l')]], ['/l -> x', '/m -> x']],
    ['a hard link into a lower layer', [[file('a', '1')], [hardlink('b', 'a')]], ['/a = 1 #0', '/b = 1 #0']],
    [
      "a hard link outlives its target's name",
      [[file('a', '1'), hardlink('b', 'a')], [file('a', '2')]],
      ['/a = 2 #0', '/b = 1 #1'],
    ],
    [
      'a hard link outlives its hidden target',
      [[file('a', '1'), hardlink('b', 'a')], [whiteout('a')]],
      ['/b = 1 #0'],
    ],
    [
      'a hard link of a middle layer outlives its hidden target',
      [[file('a', '1')], [hardlink('b', 'a')], [file('a', '3')]],
      ['/a = 3 #0', '/b = 1 #1'],
    ],
    [
      'a hard link to a later duplicate',
      [[file('a', '1'), hardlink('b', 'a'), file('a', '2')]],
      ['/a = 2 #0', '/b = 1 #1'],
    ],
    [
      'a hard link through a link',
      [[file('d/x', '1'), symlink('l', 'd'), hardlink('m', 'l/x')]],
      ['/d/', '/d/x = 1 #0', '/l -> d', '/m = 1 #0'],
    ],
    [
      'a hard link whose parent does not exist',
      [[file('a', '1'), hardlink('p/q/b', 'a')]],
      ['/a = 1 #0', '/p/', '/p/q/', '/p/q/b = 1 #0'],
    ],
    ['a hard link to itself', [[file('a', '1'), hardlink('a', 'a')]], ['/a = 1 #0']],
    [
      'a hard link out of the root',
      [[file('etc/passwd', '1'), hardlink('b', '../../etc/passwd')]],
      ['/b = 1 #0', '/etc/', '/etc/passwd = 1 #0'],
    ],
    ['AUFS links', [[file('.wh..wh.plnk/1.2', '1'), hardlink('a', '.wh..wh.plnk/1.2')]], ['/a = 1 #0']],
  ];
  it.each(rules)('%s', (_name, layers, expected) => {
    expect(listing(merge(...layers))).toEqual(expected);
  });

  const refusals: ReadonlyArray<[name: string, layers: EntrySpec[][], code: string]> = [
    ['a bare whiteout', [[file('d/.wh.')]], 'WHITEOUT_INVALID'],
    ['a whiteout of ..', [[file('d/.wh...')]], 'WHITEOUT_INVALID'],
    ['a root that is a file', [[file('./', 'x')]], 'PATH_ESCAPES_ROOT'],
    ['a root that is a link', [[symlink('/.', '/etc')]], 'PATH_ESCAPES_ROOT'],
    ['a root that is a hard link', [[file('a', 'x'), hardlink('..', 'a')]], 'PATH_ESCAPES_ROOT'],
    ['a hard link to nothing', [[hardlink('a', 'b')]], 'HARDLINK_TARGET_MISSING'],
    ['a hard link to itself alone', [[hardlink('a', 'a')]], 'HARDLINK_TARGET_MISSING'],
    ['hard links in a circle', [[hardlink('a', 'b'), hardlink('b', 'a')]], 'HARDLINK_TARGET_MISSING'],
    [
      'a hard link to what the layer hides',
      [[file('b', '1')], [whiteout('b'), hardlink('a', 'b')]],
      'HARDLINK_TARGET_MISSING',
    ],
    ['a hard link before its target', [[hardlink('a', 'b'), file('b', 'x')]], 'HARDLINK_TARGET_MISSING'],
    ['a hard link to a directory', [[dir('d'), hardlink('a', 'd')]], 'HARDLINK_TARGET_INVALID'],
    ['a hard link to the root', [[hardlink('a', '/')]], 'HARDLINK_TARGET_INVALID'],
    ['links in a circle as parents', [[symlink('a', 'b'), symlink('b', 'a'), file('a/x')]], 'SYMLINK_LOOP'],
    ['a link to itself as a parent', [[symlink('a', 'a'), file('a/x')]], 'SYMLINK_LOOP'],
    ['a name above 255 bytes', [[file('n'.repeat(256))]], 'NAME_TOO_LONG'],
    ['a path above 32 KiB', [[file('d/'.repeat(20_000))]], 'PATH_TOO_LONG'],
    ['a link target above 4095 bytes', [[symlink('l', 't'.repeat(4096))]], 'SYMLINK_TOO_LONG'],
  ];
  it.each(refusals)('refuses %s', (_name, layers, code) => {
    expect(codeOf(() => merge(...layers))).toBe(code);
    // The same in an upper layer, where it is applied later.
    if (layers.length === 1) expect(codeOf(() => merge([], ...layers))).toBe(code);
  });

  it('gives implied directories 0755 0:0 at the epoch, and lets a later entry replace that', () => {
    const merged = merge([file('a/b/c', 'x'), dir('a', { mode: 0o700, uid: 5, mtime: 9 })]);
    const nodes = new Map(namesOf(merged.root));
    const implied = { mode: 0o755, uid: 0, gid: 0, mtime: { seconds: 0, nanoseconds: 0 } };
    expect(nodes.get('')).toMatchObject(implied);
    expect(nodes.get('/a/b')).toMatchObject(implied);
    expect(nodes.get('/a')).toMatchObject({ mode: 0o700, uid: 5, mtime: { seconds: 9 } });
  });

  it('replaces every attribute of a directory by an upper one, and of the root', () => {
    const xattr = { 'SCHILY.xattr.user.x': '1' };
    const merged = merge(
      [dir('d', { uid: 1, mtime: 1, pax: xattr }), { path: './', type: '5', mode: 0o700 }],
      [dir('d', { mode: 0o711, mtime: 2 }), { path: './', type: '5', mode: 0o751, gid: 3 }],
      [file('d/new', 'x', { mtime: 50 })],
    );
    const nodes = new Map(namesOf(merged.root));
    expect(nodes.get('/d')).toMatchObject({ mode: 0o711, uid: 0, mtime: { seconds: 2 }, xattrs: undefined });
    expect(nodes.get('')).toMatchObject({ mode: 0o751, gid: 3 });
  });

  it('stores only what the result holds, and fetches what links keep', () => {
    const big = 'x'.repeat(10_000);
    const lower = [file('a', big), file('d/b', big), file('e/c', big), file('f', big), file('keep', 'k')];
    const upper = [file('a', '1'), whiteout('d'), opaque('e'), dir('f'), file('f/g', '2')];
    const merged = merge(lower, upper, [file('f/g', '3')]);
    expect(merged).toMatchObject({ storedBytes: '1'.length + '3'.length + 'k'.length, fetchedCount: 0 });
    expect(listing(merged)).toEqual(['/a = 1 #0', '/e/', '/f/', '/f/g = 3 #1', `/keep = k #2`]);

    const linked = merge(
      [file('a', big), hardlink('b', 'a'), file('c', big)],
      [file('a', '1'), file('c', '2')],
    );
    expect(linked).toMatchObject({ storedBytes: 2, fetchedCount: 1 });
    expect(linked.bodies.get(new Map(namesOf(linked.root)).get('/b') as Ext4Node)).toBe(big);
  });

  it('stops at the limits, naming the entry', () => {
    const limits = { maxContentBytes: 10, maxEntries: 3 };
    const merge1 = (...specs: EntrySpec[]): unknown => mergeTars([tar(...specs)], limits);
    expect(codeOf(() => merge1(file('a', '12345'), file('b', '12345')))).toBeUndefined();
    expect(() => merge1(file('a', '12345'), file('b', '123456'))).toThrow(
      expect.objectContaining({
        code: 'CONTENT_TOO_LARGE',
        details: expect.objectContaining({ path: 'b', sizeBytes: 11 }),
      }),
    );
    expect(codeOf(() => merge1(file('a'), file('b'), file('c')))).toBeUndefined();
    expect(codeOf(() => merge1(file('a'), file('b'), file('c'), file('d')))).toBe('ENTRIES_TOO_MANY');
    expect(codeOf(() => merge1(file('a/b/c')))).toBeUndefined();
    expect(codeOf(() => merge1(file('a/b/c/d')))).toBe('ENTRIES_TOO_MANY');
  });

  it('bounds what names and attributes take', () => {
    const value = 'v'.repeat(1_000_000);
    const specs = Array.from({ length: 140 }, (_, i) =>
      file(`f${i}`, '', { pax: { 'SCHILY.xattr.user.x': value } }),
    );
    expect(codeOf(() => merge(specs))).toBe('CONTENT_TOO_LARGE');
  });

  it('holds for paths of 10,000 levels', () => {
    const deep = 'd/'.repeat(10_000);
    const merged = merge([file(`${deep}f`, '1')], [file(`${deep}g`, '2')], [whiteout(`${deep}f`)]);
    expect(namesOf(merged.root)).toHaveLength(10_002);
    expect(namesOf(merge([file(`${deep}f`, '1')], [whiteout('d')]).root)).toHaveLength(1);
  });

  it('equals the model for random stacks of layers', () => {
    let fetchedCount = 0;
    fc.assert(
      fc.property(mergeableStack, (layers) => {
        const merged = merge(...layers);
        fetchedCount += merged.fetchedCount;
        expect(describeProduct(merged)).toEqual(describeModel(mergeByModel(layers)));
      }),
      { numRuns: 2000 },
    );
    expect(fetchedCount).toBeGreaterThan(0);
  });

  it('refuses what the model refuses', () => {
    fc.assert(
      fc.property(layerStack, (layers) => {
        expect(codeOf(() => merge(...layers))).toBe(codeOf(() => mergeByModel(layers)));
      }),
      { numRuns: 2000 },
    );
  });
});
