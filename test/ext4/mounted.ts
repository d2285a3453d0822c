/** Images as the kernel sees them: mounted over a loop device, and whole trees as comparable values. */
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import type { Ext4Directory, Ext4Node } from '../../src/ext4/index.js';
import { run } from './support.js';

/**
 * Loop devices need root. Anyone else sees these tests as skipped, by name; in CI, where they are
 * required, they run and fail.
 */
export const CAN_MOUNT = process.geteuid?.() === 0 || process.env.CI !== undefined;

const RELEASE_TIMEOUT_MS = 60_000;

/** A mounted image. Its end waits until the kernel has let go of it and fails if the kernel had anything to complain of. */
export class Mounted implements Disposable {
  readonly path: string;
  readonly #image: string;
  readonly #logBefore: ReadonlySet<string>;
  readonly #device: string;

  constructor(image: string, options = 'rw') {
    this.path = `${image}.mounted`;
    this.#image = image;
    this.#logBefore = new Set(kernelLog());
    mkdirSync(this.path, { recursive: true });
    run('mount', ['-t', 'ext4', '-o', `loop,${options}`, image, this.path]);
    this.#device = basename(run('losetup', ['--associated', image]).split(':')[0] ?? '');
  }

  [Symbol.dispose](): void {
    run('umount', [this.path]);
    // A mount namespace that was made meanwhile keeps the file system in use until it ends.
    const deadline = Date.now() + RELEASE_TIMEOUT_MS;
    while (run('losetup', ['--associated', this.#image]) !== '') {
      if (Date.now() > deadline) throw new Error(`${this.#image} is still mounted somewhere`);
      run('sleep', ['0.02']);
    }
    const ours = new RegExp(
      `\\b${this.#device}\\b.*(warning|error|corrupt|checksum|recover)|(EXT4-fs|JBD2).*(warning|error).*\\b${this.#device}\\b`,
      'i',
    );
    const complaints = kernelLog().filter((line) => !this.#logBefore.has(line) && ours.test(line));
    if (complaints.length > 0) throw new Error(complaints.join('\n'));
  }
}

function kernelLog(): string[] {
  return run('dmesg', []).split('\n');
}

/** One inode under one name; undefined fields do not apply to its kind. */
interface Seen {
  readonly kind: Ext4Node['kind'];
  readonly mode: number;
  readonly owner: string;
  readonly mtime: string;
  /** Names of the inode; for a directory 2 + its subdirectories, or 1 when they are too many. */
  readonly links: number;
  /** The first path of the same inode, in the order of the listing. */
  readonly sameAs: string;
  readonly device: string | undefined;
  readonly target: string | undefined;
  readonly sizeBytes: number | undefined;
  readonly sha256: string | undefined;
  readonly xattrs: Readonly<Record<string, string>>;
}

export type Listing = Record<string, Seen>;

const KINDS: ReadonlyArray<readonly [bits: number, kind: Ext4Node['kind']]> = [
  [0x1000, 'fifo'],
  [0x2000, 'character'],
  [0x4000, 'directory'],
  [0x6000, 'block'],
  [0x8000, 'file'],
  [0xa000, 'symlink'],
  [0xc000, 'socket'],
];

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function timeText(nanoseconds: bigint): string {
  const billion = 1_000_000_000n;
  const fraction = ((nanoseconds % billion) + billion) % billion;
  return `${(nanoseconds - fraction) / billion}.${fraction.toString().padStart(9, '0')}`;
}

/** Lists everything below a directory of the host; paths and all bytes as latin1. */
export function listMounted(root: string): Listing {
  const listing: Listing = {};
  const first = new Map<bigint, string>();
  const xattrs = readXattrs(root);
  const visit = (path: string): void => {
    const hostPath = Buffer.from(path === '' ? root : `${root}/${path}`, 'latin1');
    const stat = lstatSync(hostPath, { bigint: true });
    const kind = KINDS.find(([bits]) => bits === (Number(stat.mode) & 0xf000))?.[1] ?? 'file';
    const isDevice = kind === 'block' || kind === 'character';
    if (!first.has(stat.ino)) first.set(stat.ino, path);
    listing[path] = {
      kind,
      mode: Number(stat.mode) & 0o7777,
      owner: `${stat.uid}:${stat.gid}`,
      mtime: timeText(stat.mtimeNs),
      links: Number(stat.nlink),
      sameAs: first.get(stat.ino) ?? '',
      device: isDevice ? deviceText(stat.rdev) : undefined,
      target:
        kind === 'symlink' ? readlinkSync(hostPath, { encoding: 'buffer' }).toString('latin1') : undefined,
      sizeBytes: kind === 'file' ? Number(stat.size) : undefined,
      sha256: kind === 'file' ? sha256(readFileSync(hostPath)) : undefined,
      xattrs: xattrs.get(path) ?? {},
    };
    if (kind !== 'directory') return;
    const names = readdirSync(hostPath, { encoding: 'buffer' }).map((name) => name.toString('latin1'));
    for (const name of names.sort())
      if (path !== '' || name !== 'lost+found') visit(path === '' ? name : `${path}/${name}`);
  };
  visit('');
  return listing;
}

/** glibc's makedev: 12 bits of major, 20 of minor. */
function deviceText(rdev: bigint): string {
  return `${(rdev >> 8n) & 0xfffn},${(rdev & 0xffn) | ((rdev >> 12n) & 0xfff00n)}`;
}

function readXattrs(root: string): Map<string, Record<string, string>> {
  const found = new Map<string, Record<string, string>>();
  let values: Record<string, string> = {};
  for (const line of run('getfattr', [
    '-R',
    '-P',
    '-h',
    '-d',
    '-m',
    '-',
    '-e',
    'hex',
    '--absolute-names',
    root,
  ]).split('\n')) {
    const header = /^# file: (.*)$/.exec(line)?.[1];
    const value = /^([^=]*)=0x(.*)$/.exec(line);
    if (header !== undefined) {
      values = {};
      found.set(unescaped(header).slice(root.length + 1), values);
    } else if (value) values[unescaped(value[1] ?? '')] = value[2] ?? '';
    else if (line !== '') values[unescaped(line.replace(/=$/, ''))] = '';
  }
  return found;
}

function unescaped(text: string): string {
  return text.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** The listing that {@link listMounted} has to give for a tree whose bodies are `contents`. */
export function listTree(root: Ext4Directory, contents: ReadonlyMap<Ext4Node, Uint8Array>): Listing {
  const listing: Listing = {};
  const first = new Map<Ext4Node, string>();
  const names = new Map<Ext4Node, number>();
  const count = (node: Ext4Node): void => {
    names.set(node, (names.get(node) ?? 0) + 1);
    if (node.kind === 'directory') for (const child of node.children.values()) count(child);
  };
  count(root);
  const visit = (path: string, node: Ext4Node): void => {
    if (!first.has(node)) first.set(node, path);
    const body = contents.get(node) ?? new Uint8Array(0);
    const subdirectories =
      node.kind === 'directory'
        ? [...node.children.values()].filter((child) => child.kind === 'directory')
        : [];
    const lostAndFound =
      path === '' && !(node.kind === 'directory' && node.children.has('lost+found')) ? 1 : 0;
    listing[path] = {
      kind: node.kind,
      mode: node.mode,
      owner: `${node.uid}:${node.gid}`,
      mtime: timeText(BigInt(node.mtime.seconds) * 1_000_000_000n + BigInt(node.mtime.nanoseconds)),
      links: node.kind === 'directory' ? 2 + subdirectories.length + lostAndFound : (names.get(node) ?? 0),
      sameAs: first.get(node) ?? '',
      device: node.kind === 'character' || node.kind === 'block' ? `${node.major},${node.minor}` : undefined,
      target: node.kind === 'symlink' ? Buffer.from(node.target).toString('latin1') : undefined,
      sizeBytes: node.kind === 'file' ? body.byteLength : undefined,
      sha256: node.kind === 'file' ? sha256(body) : undefined,
      xattrs: Object.fromEntries(
        [...(node.xattrs ?? [])].map(([name, value]) => [name, Buffer.from(value).toString('hex')]),
      ),
    };
    if (node.kind !== 'directory') return;
    for (const name of [...node.children.keys()].sort()) {
      const child = node.children.get(name);
      if (child !== undefined) visit(path === '' ? name : `${path}/${name}`, child);
    }
  };
  visit('', root);
  return listing;
}
