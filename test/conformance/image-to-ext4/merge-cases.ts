/**
 * The rules of docs/layers.md as small stacks of layers with the exact tree that must come out. The merge's
 * own tests run them on trees in memory; the suite runs them through whole images and lets e2fsck, debugfs
 * and the kernel judge.
 */
import {
  dir,
  type EntrySpec,
  file,
  hardlink,
  opaque,
  symlink,
  whiteout,
} from '../../rootfs/support/tar-builder.js';

/**
 * A line for each name but the root, sorted: `/dir/`, `/link -> target`, `/file = body #n`, `/pipe fifo #n`,
 * where names of one inode share the number n.
 */
export type TreeLines = string[];

/** Title, layers (base first), tree. */
export type MergeCase = readonly [rule: string, layers: EntrySpec[][], expected: TreeLines];

/** Title, layers (base first), code. */
export type RefusalCase = readonly [what: string, layers: EntrySpec[][], code: string];

export const MERGE_CASES: readonly MergeCase[] = [
  ['an upper file replaces a lower one', [[file('a', '1')], [file('a', '2')]], ['/a = 2 #0']],
  ['a whiteout removes a lower file', [[file('a', '1'), file('b', '2')], [whiteout('a')]], ['/b = 2 #0']],
  ['a whiteout removes a lower tree', [[file('d/e/f', '1')], [whiteout('d')]], []],
  ['a whiteout does not act on its own layer, before', [[], [whiteout('a'), file('a', '2')]], ['/a = 2 #0']],
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
  [
    'a link that its own name replaces, through itself',
    [[symlink('l', '.'), file('l/a', '1'), dir('l/l'), file('l/b', '2')]],
    ['/a = 1 #0', '/l/', '/l/b = 2 #1'],
  ],
  [
    'the last entry of a name says whether the layer has a directory there',
    [
      [file('usr/x', '1'), symlink('lib', 'usr')],
      [dir('lib'), symlink('lib', 'usr'), whiteout('lib/x')],
    ],
    ['/lib -> usr', '/usr/'],
  ],
  [
    'parents lead through 255 links',
    [
      [
        ...Array.from({ length: 254 }, (_, i) => symlink(`l${i + 1}`, `l${i + 2}`)),
        symlink('l255', 'd'),
        file('l1/f', '1'),
      ],
    ],
    [
      '/d/',
      '/d/f = 1 #0',
      ...Array.from({ length: 254 }, (_, i) => `/l${i + 1} -> l${i + 2}`),
      '/l255 -> d',
    ].sort(),
  ],
  ['AUFS links', [[file('.wh..wh.plnk/1.2', '1'), hardlink('a', '.wh..wh.plnk/1.2')]], ['/a = 1 #0']],
];

export const REFUSAL_CASES: readonly RefusalCase[] = [
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
  [
    'parents that lead through 256 links',
    [
      [
        ...Array.from({ length: 255 }, (_, i) => symlink(`l${i + 1}`, `l${i + 2}`)),
        symlink('l256', 'd'),
        file('l1/f', '1'),
      ],
    ],
    'SYMLINK_LOOP',
  ],
  ['a name above 255 bytes', [[file('n'.repeat(256))]], 'NAME_TOO_LONG'],
  ['a path above 32 KiB', [[file('d/'.repeat(20_000))]], 'PATH_TOO_LONG'],
  ['a link target above 4095 bytes', [[symlink('l', 't'.repeat(4096))]], 'SYMLINK_TOO_LONG'],
];
