/**
 * The tree with inode numbers: directories depth first, the children of each in the order of their names'
 * bytes and next to each other. Numbers depend on the tree alone, not on the order of its maps.
 */
import { HearthError } from '../errors/index.js';
import { FIRST_INODE, MAX_LINKS, MAX_NAME_BYTES, ROOT_INODE } from './format.js';
import type { Ext4Directory, Ext4Node, Timestamp } from './node.js';

interface DirectoryEntries {
  /** Sorted; without `.` and `..`. */
  readonly names: readonly string[];
  readonly inodes: Uint32Array;
}

export interface NumberedTree {
  /** By inode number; undefined for reserved inodes. */
  readonly nodes: readonly (Ext4Node | undefined)[];
  /** By inode number; only directories have entries. */
  readonly entries: readonly (DirectoryEntries | undefined)[];
  /** By inode number: the first directory that names it. */
  readonly parents: readonly number[];
  /** By inode number: names of a file; for a directory 2 + its subdirectories. */
  readonly links: readonly number[];
  readonly lastInode: number;
  /** The absolute path of an inode, by its first name, for people. */
  pathOf(inode: number): string;
}

const LOST_AND_FOUND = 'lost+found';
const FORBIDDEN_IN_NAMES = /[\0/\u0100-\uffff]/;

/** Latin1 bytes as text for people. */
function displayName(name: string): string {
  return Buffer.from(name, 'latin1').toString('utf8');
}

class Numbering implements NumberedTree {
  readonly nodes: (Ext4Node | undefined)[] = new Array(FIRST_INODE).fill(undefined);
  readonly entries: (DirectoryEntries | undefined)[] = new Array(FIRST_INODE).fill(undefined);
  readonly parents: number[] = new Array(FIRST_INODE).fill(0);
  readonly links: number[] = new Array(FIRST_INODE).fill(0);
  readonly #names: string[] = new Array(FIRST_INODE).fill('');
  readonly #inodes = new Map<Ext4Node, number>();
  /** An inode that got its number before its name was met. */
  #numberedAhead = 0;

  get lastInode(): number {
    return this.nodes.length - 1;
  }

  pathOf(inode: number): string {
    const names: string[] = [];
    for (let i = inode; i !== ROOT_INODE; i = this.parents[i] ?? ROOT_INODE) names.push(this.#names[i] ?? '');
    return `/${names.reverse().map(displayName).join('/')}`;
  }

  addRoot(root: Ext4Directory): void {
    this.#inodes.set(root, ROOT_INODE);
    this.nodes[ROOT_INODE] = root;
    this.parents[ROOT_INODE] = ROOT_INODE;
    this.links[ROOT_INODE] = 2;
  }

  /** Gives a child of the root the first number, whatever comes before its name. */
  addAhead(directory: Ext4Directory, name: string): void {
    this.#numberedAhead = this.#add(directory, ROOT_INODE, name);
  }

  /** Numbers the children of a directory; returns the directories among them. */
  addChildren(directoryInode: number, children: ReadonlyMap<string, Ext4Node>): number[] {
    const names = [...children.keys()].sort();
    const inodes = new Uint32Array(names.length);
    const subdirectories: number[] = [];
    for (let i = 0; i < names.length; i++) {
      const name = names[i] ?? '';
      this.#assertName(directoryInode, name);
      const node = children.get(name);
      if (node === undefined) continue;
      const inode = this.#number(node, directoryInode, name);
      inodes[i] = inode;
      if (node.kind === 'directory') subdirectories.push(inode);
    }
    this.entries[directoryInode] = { names, inodes };
    this.links[directoryInode] = (this.links[directoryInode] ?? 0) + subdirectories.length;
    return subdirectories;
  }

  /** Gives a node its number, or one more link. */
  #number(node: Ext4Node, parent: number, name: string): number {
    const known = this.#inodes.get(node);
    if (known === undefined) return this.#add(node, parent, name);
    if (known === this.#numberedAhead) {
      this.#numberedAhead = 0;
      return known;
    }
    const links = (this.links[known] ?? 0) + 1;
    if (node.kind === 'directory') {
      throw new HearthError('INTERNAL', 'a directory stands at two places in the tree', {
        details: { path: this.pathOf(known), secondPath: `${this.pathOf(parent)}/${displayName(name)}` },
      });
    }
    if (links > MAX_LINKS) {
      throw new HearthError(
        'LINKS_TOO_MANY',
        `${this.pathOf(known)} has more than ${MAX_LINKS} names; ext4 holds no more for one file`,
        {
          hint: 'Rebuild the image with fewer hard links to that file.',
          details: { path: this.pathOf(known), maximumLinks: MAX_LINKS },
        },
      );
    }
    this.links[known] = links;
    return known;
  }

  #add(node: Ext4Node, parent: number, name: string): number {
    const inode = this.nodes.length;
    this.#inodes.set(node, inode);
    this.nodes.push(node);
    this.entries.push(undefined);
    this.parents.push(parent);
    this.#names.push(name);
    this.links.push(node.kind === 'directory' ? 2 : 1);
    return inode;
  }

  #assertName(directoryInode: number, name: string): void {
    if (name.length > MAX_NAME_BYTES) {
      const path = `${this.pathOf(directoryInode).replace(/\/$/, '')}/${displayName(name)}`;
      throw new HearthError(
        'NAME_TOO_LONG',
        `a name of ${name.length} bytes, ext4 holds at most ${MAX_NAME_BYTES}: ${path.slice(0, 512)}`,
        {
          hint: 'Rebuild the image with a shorter file name.',
          details: { path, nameBytes: name.length, maximumBytes: MAX_NAME_BYTES },
        },
      );
    }
    if (name === '' || name === '.' || name === '..' || FORBIDDEN_IN_NAMES.test(name)) {
      throw new HearthError('INTERNAL', `not a name for a directory entry: ${JSON.stringify(name)}`, {
        details: { path: this.pathOf(directoryInode), name },
      });
    }
  }
}

function emptyLostAndFound(createdAt: Timestamp): Ext4Directory {
  return {
    kind: 'directory',
    mode: 0o700,
    uid: 0,
    gid: 0,
    mtime: createdAt,
    xattrs: undefined,
    children: new Map(),
  };
}

/**
 * Numbers a tree. A `lost+found` directory at the root, the tree's own or a new one, is inode 11.
 *
 * @throws {HearthError} `NAME_TOO_LONG`, `LINKS_TOO_MANY`; `INTERNAL` for names that no directory can hold.
 */
export function numberTree(root: Ext4Directory, createdAt: Timestamp): NumberedTree {
  const numbering = new Numbering();
  numbering.addRoot(root);
  let children: ReadonlyMap<string, Ext4Node> = root.children;
  const own = children.get(LOST_AND_FOUND);
  if (own === undefined) children = new Map(children).set(LOST_AND_FOUND, emptyLostAndFound(createdAt));
  const first = children.get(LOST_AND_FOUND);
  if (first?.kind === 'directory') numbering.addAhead(first, LOST_AND_FOUND);

  const waiting = numbering.addChildren(ROOT_INODE, children).reverse();
  for (let inode = waiting.pop(); inode !== undefined; inode = waiting.pop()) {
    const node = numbering.nodes[inode];
    if (node?.kind !== 'directory') continue;
    for (const subdirectory of numbering.addChildren(inode, node.children).reverse())
      waiting.push(subdirectory);
  }
  return numbering;
}
