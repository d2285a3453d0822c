/**
 * The merge: a stack of layers becomes one tree.
 *
 * Layers are read from the top down, so that a body which an upper layer hides is not stored; the rules are
 * applied from the base up, as they are written (docs/layers.md), once all names are known. The two meet in
 * `finish`: a body that turns out to be needed and was not stored is reported there, to be read once more.
 * That happens only when a hard link of the same layer outlives a hidden name, or symbolic links lead the
 * forecast astray; it makes the forecast free to be simple.
 */
import { HearthError } from '../errors/index.js';
import type { Ext4Directory, Ext4File, Ext4Node } from '../ext4/index.js';
import { displayName, type TarEntry } from '../tar/index.js';
import { cleanEntryPath, parentOf } from './entry-path.js';
import { MaskForecast } from './mask.js';
import { nodeOfEntry } from './node-of-entry.js';
import { LayerTree } from './tree.js';
import { classifyEntryName } from './whiteout.js';

export interface LayerMergerOptions {
  readonly layerCount: number;
  /** Bytes of bodies that are kept. Default 32 GiB. */
  readonly maxContentBytes?: number;
  /** Entries of all layers and directories they imply. Default 1,000,000. */
  readonly maxEntries?: number;
}

/** Bodies of one layer that have to be read after all, by the ordinal of their entry. */
export interface MissingBodies {
  readonly layerIndex: number;
  readonly bodies: ReadonlyMap<number, Ext4File>;
}

export interface MergedLayers {
  readonly root: Ext4Directory;
  /** Top layer first. */
  readonly missing: readonly MissingBodies[];
}

/** One entry of a layer above the base, kept until its turn. */
type HeldEntry =
  | { readonly path: string; readonly node: Ext4Node }
  | { readonly path: string; readonly target: string };

interface HeldLayer {
  readonly entries: HeldEntry[];
  readonly whiteouts: string[];
  readonly opaques: string[];
}

const DEFAULT_MAX_CONTENT_BYTES = 32 * 1024 ** 3;
const DEFAULT_MAX_ENTRIES = 1_000_000;
/** Names, link targets and attributes of all entries together: they are held in memory. */
const MAX_METADATA_BYTES = 128 * 1024 * 1024;
/** Docker's old AUFS layers keep the files that are linked more than once under this name. */
const AUFS_LINKS = '.wh..wh.plnk';

export class LayerMerger {
  readonly #maxContentBytes: number;
  readonly #maxEntries: number;
  readonly #tree: LayerTree;
  readonly #forecast = new MaskForecast();
  readonly #held: Array<HeldLayer | undefined>;
  readonly #hidden = new Map<Ext4File, { layerIndex: number; ordinal: number }>();
  #layerIndex: number;
  #ordinal = 0;
  #layer: HeldLayer = { entries: [], whiteouts: [], opaques: [] };
  #entryCount = 0;
  #contentBytes = 0;
  #metadataBytes = 0;

  constructor(options: LayerMergerOptions) {
    this.#maxContentBytes = options.maxContentBytes ?? DEFAULT_MAX_CONTENT_BYTES;
    this.#maxEntries = options.maxEntries ?? DEFAULT_MAX_ENTRIES;
    this.#layerIndex = options.layerCount - 1;
    this.#held = new Array(options.layerCount);
    this.#tree = new LayerTree({ onImplied: (path) => this.#count(path) });
  }

  /** Entries so far, with implied directories. */
  get entryCount(): number {
    return this.#entryCount;
  }

  /**
   * Takes the next entry of the present layer, in the order of the archive.
   *
   * @returns The file whose body is to be stored: set its `data`. Undefined when there is nothing to store.
   * @throws {HearthError} With `details.path`: `WHITEOUT_INVALID`, `PATH_ESCAPES_ROOT`, `PATH_TOO_LONG`,
   *   `NAME_TOO_LONG`, `SYMLINK_TOO_LONG`, `SYMLINK_LOOP`, `HARDLINK_TARGET_MISSING`,
   *   `HARDLINK_TARGET_INVALID`, `CONTENT_TOO_LARGE`, `ENTRIES_TOO_MANY`.
   */
  add(entry: TarEntry): Ext4File | undefined {
    const ordinal = this.#ordinal;
    this.#ordinal += 1;
    this.#count(entry.path);
    this.#countMetadata(entry);
    const name = classifyEntryName(cleanEntryPath(entry.path));
    if (name.kind === 'whiteout') {
      this.#layer.whiteouts.push(name.path);
      return undefined;
    }
    if (name.kind === 'opaque') {
      this.#layer.opaques.push(name.directory);
      return undefined;
    }
    if (entry.kind === 'hardlink') {
      this.#place({ path: name.path, target: cleanEntryPath(entry.linkTarget) });
      return undefined;
    }
    const node = nodeOfEntry(entry);
    this.#place({ path: name.path, node });
    if (node.kind !== 'file' || entry.storedBytes === 0) return undefined;
    if (this.#forecast.hides(name.path)) {
      this.#hidden.set(node, { layerIndex: this.#layerIndex, ordinal });
      return undefined;
    }
    this.#countContent(entry.path, entry.storedBytes);
    return node;
  }

  /** Ends the present layer; the one below it is next. */
  endLayer(): void {
    const layer = this.#layer;
    if (this.#layerIndex > 0) {
      this.#forecastFrom(layer);
      this.#held[this.#layerIndex] = layer;
    } else {
      this.#dropAufsLinks();
    }
    this.#layerIndex -= 1;
    this.#ordinal = 0;
    this.#layer = { entries: [], whiteouts: [], opaques: [] };
  }

  #forecastFrom(layer: HeldLayer): void {
    for (const held of layer.entries) {
      if ('target' in held) {
        this.#forecast.addEntry(held.path, false);
        this.#forecast.addLinkTarget(held.target);
      } else {
        const { kind } = held.node;
        this.#forecast.addEntry(held.path, kind === 'directory' || kind === 'symlink');
      }
    }
    for (const path of layer.whiteouts) this.#forecast.addWhiteout(path);
    for (const directory of layer.opaques) this.#forecast.addOpaque(directory);
  }

  /** Applies every layer above the base, which has been applied while it was read. Call once, after the last `endLayer`. */
  finish(): MergedLayers {
    for (const [i, layer] of this.#held.entries()) {
      if (layer === undefined) continue;
      this.#held[i] = undefined;
      this.#applyWhiteouts(layer);
      for (const held of layer.entries) this.#apply(held);
      this.#dropAufsLinks();
    }
    const { root } = this.#tree;
    return { root, missing: this.#missingBodies(root) };
  }

  #place(held: HeldEntry): void {
    if (this.#layerIndex > 0) this.#layer.entries.push(held);
    else this.#apply(held);
  }

  #apply(held: HeldEntry): void {
    if ('target' in held) this.#tree.link(held.path, held.target);
    else this.#tree.put(held.path, held.node);
  }

  /**
   * Takes away what the layer hides. All names are looked up first, in the tree as the lower layers left it;
   * only where the layer itself puts a directory in the place of a symbolic link nothing lies below.
   */
  #applyWhiteouts(layer: HeldLayer): void {
    if (layer.whiteouts.length === 0 && layer.opaques.length === 0) return;
    const own = ownDirectories(layer);
    const find = (path: string): Ext4Directory | undefined => this.#tree.find(path, path, (p) => own.has(p));
    const emptied = layer.opaques.map(find);
    const removed = layer.whiteouts.map((path) => ({ path, directory: find(parentOf(path)) }));
    for (const directory of emptied) if (directory !== undefined) this.#tree.clear(directory);
    for (const { path, directory } of removed) {
      if (directory !== undefined) this.#tree.remove(directory, path.slice(path.lastIndexOf('/') + 1));
    }
  }

  #dropAufsLinks(): void {
    this.#tree.remove(this.#tree.root, AUFS_LINKS);
  }

  #missingBodies(root: Ext4Directory): MissingBodies[] {
    if (this.#hidden.size === 0) return [];
    const byLayer = new Map<number, Map<number, Ext4File>>();
    const pending: Ext4Directory[] = [root];
    for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
      for (const node of directory.children.values()) {
        if (node.kind === 'directory') pending.push(node);
        const place = node.kind === 'file' ? this.#hidden.get(node) : undefined;
        if (node.kind !== 'file' || place === undefined) continue;
        const bodies = byLayer.get(place.layerIndex) ?? new Map<number, Ext4File>();
        byLayer.set(place.layerIndex, bodies.set(place.ordinal, node));
      }
    }
    return [...byLayer]
      .map(([layerIndex, bodies]) => ({ layerIndex, bodies }))
      .sort((a, b) => b.layerIndex - a.layerIndex);
  }

  #count(path: string): void {
    this.#entryCount += 1;
    if (this.#entryCount <= this.#maxEntries) return;
    throw new HearthError('ENTRIES_TOO_MANY', `the image has more than ${this.#maxEntries} entries`, {
      hint: 'Use a smaller image, or raise the limit of entries if you trust this one.',
      details: { path: displayName(path), limit: this.#maxEntries },
    });
  }

  #countContent(path: string, byteCount: number): void {
    this.#contentBytes += byteCount;
    if (this.#contentBytes <= this.#maxContentBytes) return;
    throw contentTooLarge('files', path, this.#contentBytes, this.#maxContentBytes);
  }

  #countMetadata(entry: TarEntry): void {
    this.#metadataBytes += entry.path.length + entry.linkTarget.length;
    for (const [name, value] of entry.xattrs ?? []) this.#metadataBytes += name.length + value.byteLength;
    if (this.#metadataBytes <= MAX_METADATA_BYTES) return;
    throw contentTooLarge('names and attributes', entry.path, this.#metadataBytes, MAX_METADATA_BYTES);
  }
}

function contentTooLarge(what: string, path: string, sizeBytes: number, limitBytes: number): HearthError {
  return new HearthError(
    'CONTENT_TOO_LARGE',
    `the image has at least ${sizeBytes} bytes of ${what}, the limit is ${limitBytes}`,
    {
      hint: 'Raise the limit with --max-content if you trust this image.',
      details: { what, path: displayName(path), sizeBytes, limitBytes },
    },
  );
}

/** Paths at which the layer itself has a directory: the last entry of a name counts. */
function ownDirectories(layer: HeldLayer): Set<string> {
  const own = new Set<string>();
  for (const held of layer.entries) {
    if ('node' in held && held.node.kind === 'directory') own.add(held.path);
    else own.delete(held.path);
  }
  return own;
}
