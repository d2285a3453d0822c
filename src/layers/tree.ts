/**
 * The tree that layers are applied to, base first, with the rules of a file system: parents are found by
 * following symbolic links, never out of the root; a name holds one node; a node may have several names.
 *
 * Nothing here recurses: trees are as deep as an image says.
 */
import { HearthError } from '../errors/index.js';
import type { Ext4Directory, Ext4Node } from '../ext4/index.js';
import { displayName } from '../tar/index.js';
import { parentOf } from './entry-path.js';

/** How many symbolic links are followed in one path: as many as containerd and umoci follow. */
const MAX_SYMLINKS = 255;
/** Longer slices of a string keep the whole string alive in V8. */
const SHORT_NAME = 12;

export interface LayerTreeOptions {
  /** Called when a directory is made that no layer has an entry for. */
  readonly onImplied: (path: string) => void;
}

export class LayerTree {
  readonly root: Ext4Directory = impliedDirectory();
  readonly #onImplied: (path: string) => void;
  /** The directory found last: entries of one directory stand together. */
  #lastPath: string | undefined;
  #lastDirectory: Ext4Directory = this.root;

  constructor(options: LayerTreeOptions) {
    this.#onImplied = options.onImplied;
  }

  /**
   * Gives a name to a node. A directory over a directory replaces its attributes and keeps its children;
   * anything else over anything removes what was there.
   *
   * @throws {HearthError} `PATH_ESCAPES_ROOT` for a root that is not a directory; `SYMLINK_LOOP`.
   */
  put(path: string, node: Ext4Node): void {
    if (path === '') {
      if (node.kind !== 'directory') throw rootReplaced(node.kind);
      copyAttributes(node, this.root);
      return;
    }
    const directory = this.#directoryAt(parentOf(path), path);
    const name = nameOf(path);
    const existing = directory.children.get(name);
    if (existing?.kind === 'directory' && node.kind === 'directory') copyAttributes(node, existing);
    else this.#set(directory, name, existing, node);
  }

  /**
   * Gives one more name to the node at `target`, which is looked up before anything at `path` changes.
   * The last part of `target` is not followed: a link to a symbolic link is that link's second name.
   *
   * @throws {HearthError} `HARDLINK_TARGET_MISSING`; `HARDLINK_TARGET_INVALID` for a directory;
   *   `PATH_ESCAPES_ROOT` when `path` is the root; `SYMLINK_LOOP`.
   */
  link(path: string, target: string): void {
    if (path === '') throw rootReplaced('hardlink');
    const node = target === '' ? this.root : this.find(parentOf(target), path)?.children.get(nameOf(target));
    if (node === undefined) throw linkProblem('HARDLINK_TARGET_MISSING', 'does not exist', path, target);
    if (node.kind === 'directory') {
      throw linkProblem('HARDLINK_TARGET_INVALID', 'is a directory', path, target);
    }
    const directory = this.#directoryAt(parentOf(path), path);
    const name = nameOf(path);
    const existing = directory.children.get(name);
    this.#set(directory, name, existing, node);
  }

  /**
   * The directory at `path`, following links; undefined when there is none.
   *
   * @param entryPath Named in errors.
   * @param own Stops at a symbolic link whose own path this says true for.
   * @throws {HearthError} `SYMLINK_LOOP`.
   */
  find(path: string, entryPath: string, own?: (path: string) => boolean): Ext4Directory | undefined {
    if (path === this.#lastPath && own === undefined) return this.#lastDirectory;
    const walked = this.#walk(path, entryPath, own);
    return walked?.directories.at(-1);
  }

  /** Takes a name away, with everything below it. */
  remove(directory: Ext4Directory, name: string): void {
    directory.children.delete(name);
    this.#lastPath = undefined;
  }

  /** Takes all names of a directory away. */
  clear(directory: Ext4Directory): void {
    directory.children.clear();
    this.#lastPath = undefined;
  }

  #set(directory: Ext4Directory, name: string, existing: Ext4Node | undefined, node: Ext4Node): void {
    directory.children.set(name, node);
    if (existing?.kind === 'directory' || existing?.kind === 'symlink') this.#lastPath = undefined;
  }

  /** The directory at `path`; what is missing on the way, or is no directory, becomes an implied one. */
  #directoryAt(path: string, entryPath: string): Ext4Directory {
    if (path === this.#lastPath) return this.#lastDirectory;
    const walked = this.#walk(path, entryPath);
    let directory = this.root;
    if (walked !== undefined) {
      for (const [i, name] of walked.names.entries()) {
        const next = walked.directories[i + 1] ?? impliedDirectory();
        if (walked.directories[i + 1] === undefined) {
          this.#onImplied(entryPath);
          directory.children.set(name, next);
        }
        directory = next;
      }
    }
    this.#lastPath = path;
    this.#lastDirectory = directory;
    return directory;
  }

  /**
   * Follows `path` from the root. `directories[0]` is the root, `directories[i + 1]` what `names[i]` leads to,
   * undefined from the first part on that is not there or no directory; `..` undoes a part also there.
   */
  #walk(
    path: string,
    entryPath: string,
    own?: (path: string) => boolean,
  ): { names: string[]; directories: Array<Ext4Directory | undefined> } | undefined {
    const names: string[] = [];
    const directories: Array<Ext4Directory | undefined> = [this.root];
    const parts = path === '' ? [] : path.split('/');
    const pending = parts.toReversed();
    let literalLeft = pending.length;
    let links = 0;
    for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
      literalLeft = Math.min(literalLeft, pending.length);
      if (part === '' || part === '.') continue;
      if (part === '..') {
        if (names.pop() !== undefined) directories.pop();
        continue;
      }
      const child = directories.at(-1)?.children.get(part);
      if (child?.kind !== 'symlink') {
        names.push(shortName(part));
        directories.push(child?.kind === 'directory' ? child : undefined);
        continue;
      }
      if (own?.(parts.slice(0, parts.length - literalLeft).join('/'))) return undefined;
      links += 1;
      if (links > MAX_SYMLINKS) throw symlinkLoop(entryPath);
      const target = Buffer.from(child.target).toString('latin1');
      if (target.startsWith('/')) {
        names.length = 0;
        directories.length = 1;
      }
      for (const next of target.split('/').toReversed()) pending.push(next);
    }
    return { names, directories };
  }
}

function impliedDirectory(): Ext4Directory {
  return {
    kind: 'directory',
    mode: 0o755,
    uid: 0,
    gid: 0,
    mtime: { seconds: 0, nanoseconds: 0 },
    xattrs: undefined,
    children: new Map(),
  };
}

function copyAttributes(from: Ext4Directory, to: Ext4Directory): void {
  to.mode = from.mode;
  to.uid = from.uid;
  to.gid = from.gid;
  to.mtime = from.mtime;
  to.xattrs = from.xattrs;
}

function nameOf(path: string): string {
  return shortName(path.slice(path.lastIndexOf('/') + 1));
}

/** A copy that does not keep the string alive that the name was cut from. */
function shortName(name: string): string {
  return name.length <= SHORT_NAME ? name : Buffer.from(name, 'latin1').toString('latin1');
}

function rootReplaced(kind: string): HearthError {
  return new HearthError('PATH_ESCAPES_ROOT', `the root of the image would become a ${kind}`, {
    hint: 'The image is malformed or hostile; use another one.',
    details: { path: '/', kind },
  });
}

function symlinkLoop(entryPath: string): HearthError {
  const path = displayName(entryPath);
  const reason = `more than ${MAX_SYMLINKS} symbolic links`;
  return new HearthError('SYMLINK_LOOP', `the parents of ${JSON.stringify(path)} lead through ${reason}`, {
    hint: 'The image is malformed or hostile; use another one.',
    details: { path, limit: MAX_SYMLINKS },
  });
}

function linkProblem(
  code: 'HARDLINK_TARGET_MISSING' | 'HARDLINK_TARGET_INVALID',
  problem: string,
  path: string,
  target: string,
): HearthError {
  const details = { path: displayName(path), target: displayName(target) };
  const link = `hard link ${JSON.stringify(details.path)} to ${JSON.stringify(details.target)}`;
  return new HearthError(code, `${link}: the target ${problem}`, {
    hint: 'The image is malformed; rebuild it with a current builder.',
    details,
  });
}
