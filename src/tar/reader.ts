/**
 * A tar archive as a stream: bytes are pushed in chunks of any size, entries and views of their bodies come
 * out through a handler. Nothing is allocated per body and nothing is awaited.
 *
 * Reads v7, ustar, star, GNU (long names, sparse files, base-256) and PAX. Where readers of the world differ,
 * it reads what Go's archive/tar reads, because that is what builds and unpacks container images:
 * links, devices and directories have no body whatever their size field says; global PAX headers are checked
 * and not applied; the archive may end without its two zero blocks, and what follows them is ignored.
 */
import type { TarEntry } from './entry.js';
import { tarInvalid, tarTruncated } from './failure.js';
import { BLOCK_BYTES, isZeroBlock, readHeader } from './header.js';
import { parsePax } from './pax.js';
import { type EntryExtensions, resolveEntry } from './resolve-entry.js';
import { parseSparseMap, readSparsePairs, sparseMapProblem } from './sparse.js';

export interface TarHandler {
  /** An entry begins. Its body, if it has one, follows before the next entry. */
  onEntry(entry: TarEntry): void;
  /** Part of the body of a file, in order. The view is valid only during the call. */
  onData(bytes: Uint8Array, fileOffsetBytes: number): void;
  /** The body of a file is complete, also when it is empty. */
  onFileEnd(): void;
}

export interface TarReaderOptions {
  /** Largest extended header, long name or sparse map. Default 1 MiB. */
  readonly maxExtensionBytes?: number;
}

const DEFAULT_MAX_EXTENSION_BYTES = 1024 * 1024;
const OLD_SPARSE_PAIRS_AT = 386;
const OLD_SPARSE_EXTENDED_AT = 482;
const OLD_SPARSE_PAIRS = 4;
const EXTENSION_PAIRS = 21;
const EXTENSION_EXTENDED_AT = 504;

type State =
  | 'header'
  | 'extension'
  | 'sparseBlocks'
  | 'sparseMap'
  | 'body'
  | 'padding'
  | 'lastBlock'
  | 'ended';

export class TarReader {
  readonly #handler: TarHandler;
  readonly #maxExtensionBytes: number;
  #state: State = 'header';
  /** Position in the archive of the next byte to be pushed in. */
  #offset = 0;
  #headerOffset = 0;
  /** A block or extension that is still incomplete; `#need` bytes complete it. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  #need = BLOCK_BYTES;
  #extensionType = '';
  #extensionBytes = 0;
  #extensions: EntryExtensions = {};
  #entry: TarEntry | undefined;
  #sparse: number[] | undefined;
  /** Blocks of a PAX 1.0 map so far, and at how many of them it is parsed next. */
  #mapBlocks: Buffer[] = [];
  #nextMapParse = 1;
  #segment = 0;
  #segmentDone = 0;
  #bodyLeft = 0;
  #padding = 0;

  constructor(handler: TarHandler, options: TarReaderOptions = {}) {
    this.#handler = handler;
    this.#maxExtensionBytes = options.maxExtensionBytes ?? DEFAULT_MAX_EXTENSION_BYTES;
  }

  /**
   * Takes the next bytes of the archive. The chunk may be reused when the call returns.
   *
   * @throws {HearthError} `TAR_INVALID` with `details.offsetBytes` and, where known, `details.path`; whatever
   *   the handler throws. The reader is of no use afterwards.
   */
  push(chunk: Uint8Array): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let at = 0;
    while (at < bytes.byteLength) {
      const taken = this.#take(bytes, at);
      this.#offset += taken;
      at += taken;
    }
  }

  /** Bytes of the present body that are still to come, with its padding: a caller that can seek may `skip` them. */
  get pendingBytes(): number {
    return this.#state === 'body' ? this.#bodyLeft + this.#padding : 0;
  }

  /** Leaves out the `pendingBytes`: `onData` never brings them, and the next byte pushed is the one behind. */
  skipPending(): void {
    this.#offset += this.pendingBytes;
    this.#bodyLeft = 0;
    this.#padding = 0;
    this.#endBody();
  }

  /** Says that the archive is complete. @throws {HearthError} `TAR_TRUNCATED`. */
  finish(): void {
    const path = this.#entry?.path;
    if (this.#state === 'body') throw tarTruncated('the body', this.#offset, path);
    if (this.#state === 'padding') throw tarTruncated('the padding', this.#offset, path);
    if (this.#state === 'sparseBlocks' || this.#state === 'sparseMap') {
      throw tarTruncated('a sparse map', this.#offset, path);
    }
    if (this.#state === 'extension') throw tarTruncated('an extended header', this.#offset);
    if (this.#state === 'ended') return;
    if (this.#heldBytes > 0) throw tarTruncated('a header', this.#offset);
    if (hasExtensions(this.#extensions))
      throw tarTruncated('an extended header without its entry', this.#offset);
  }

  /** Handles bytes from `at` on; returns how many, always at least one. */
  #take(bytes: Buffer, at: number): number {
    const available = bytes.byteLength - at;
    switch (this.#state) {
      case 'body': {
        const count = Math.min(available, this.#bodyLeft);
        this.#deliver(bytes.subarray(at, at + count));
        this.#bodyLeft -= count;
        if (this.#bodyLeft === 0) this.#endBody();
        return count;
      }
      case 'padding': {
        const count = Math.min(available, this.#padding);
        this.#padding -= count;
        if (this.#padding === 0) this.#expectHeader();
        return count;
      }
      case 'ended':
        return available;
      default:
        return this.#takeWhole(bytes, at, available);
    }
  }

  /** Collects `#need` bytes; the common case, all in this chunk, is handled without a copy. */
  #takeWhole(bytes: Buffer, at: number, available: number): number {
    const count = Math.min(available, this.#need - this.#heldBytes);
    if (this.#heldBytes === 0 && count === this.#need) {
      this.#handleWhole(bytes.subarray(at, at + count), this.#offset);
      return count;
    }
    this.#held.push(Buffer.from(bytes.subarray(at, at + count)));
    this.#heldBytes += count;
    if (this.#heldBytes === this.#need) {
      const whole = Buffer.concat(this.#held);
      this.#held = [];
      this.#heldBytes = 0;
      this.#handleWhole(whole, this.#offset + count - whole.byteLength);
    }
    return count;
  }

  #handleWhole(block: Buffer, offset: number): void {
    switch (this.#state) {
      case 'header':
        this.#handleHeader(block, offset);
        break;
      case 'lastBlock':
        if (!isZeroBlock(block, 0)) throw tarInvalid('data after a zero block', offset);
        this.#state = 'ended';
        break;
      case 'extension':
        this.#handleExtension(block.subarray(0, this.#extensionBytes));
        break;
      case 'sparseBlocks':
        this.#handleSparseBlock(block);
        break;
      case 'sparseMap':
        this.#handleSparseMapBlock(block);
        break;
      default:
        break;
    }
  }

  #expectHeader(): void {
    this.#state = 'header';
    this.#need = BLOCK_BYTES;
  }

  #handleHeader(block: Buffer, offset: number): void {
    if (isZeroBlock(block, 0)) {
      if (hasExtensions(this.#extensions)) throw tarInvalid('an extended header without its entry', offset);
      this.#state = 'lastBlock';
      return;
    }
    const header = readHeader(block, 0);
    if (header === undefined) throw tarInvalid('header checksum does not match', offset);
    switch (header.typeFlag) {
      case 'x':
      case 'g':
      case 'L':
      case 'K':
        this.#beginExtension(header.typeFlag, header.sizeBytes, offset);
        return;
      default:
        break;
    }
    this.#headerOffset = offset;
    const extensions = this.#extensions;
    this.#extensions = {};
    const resolved = resolveEntry(header, extensions, offset);
    this.#entry = resolved.entry;
    this.#bodyLeft = resolved.entry.storedBytes;
    this.#padding = paddingOf(this.#bodyLeft);
    this.#sparse = undefined;
    if (resolved.sparse === undefined) {
      this.#beginBody();
    } else if (resolved.sparse === 'oldGnu') {
      this.#sparse = [];
      readSparsePairs(block, OLD_SPARSE_PAIRS_AT, OLD_SPARSE_PAIRS, this.#sparse);
      if (block[OLD_SPARSE_EXTENDED_AT] === 0) this.#beginSparseBody();
      else this.#state = 'sparseBlocks';
    } else if (resolved.sparse === 'inBody') {
      this.#sparse = [];
      this.#state = 'sparseMap';
      this.#extensionBytes = 0;
      this.#nextMapParse = 1;
    } else {
      this.#sparse = resolved.sparse;
      this.#beginSparseBody();
    }
  }

  #beginExtension(type: string, sizeBytes: number, offset: number): void {
    if (!(sizeBytes >= 0 && sizeBytes <= this.#maxExtensionBytes)) {
      throw tarInvalid(`an extended header of more than ${this.#maxExtensionBytes} bytes`, offset);
    }
    this.#headerOffset = offset;
    this.#extensionType = type;
    this.#extensionBytes = sizeBytes;
    if (sizeBytes === 0) {
      this.#handleExtension(Buffer.alloc(0));
      return;
    }
    this.#state = 'extension';
    this.#need = sizeBytes + paddingOf(sizeBytes);
  }

  #handleExtension(body: Buffer): void {
    this.#expectHeader();
    if (this.#extensionType === 'L' || this.#extensionType === 'K') {
      const end = body.indexOf(0);
      const name = body.toString('latin1', 0, end === -1 ? body.byteLength : end);
      if (this.#extensionType === 'L') this.#extensions.longPath = name;
      else this.#extensions.longLinkPath = name;
      return;
    }
    const pax = parsePax(body);
    if (typeof pax === 'string') throw tarInvalid(pax, this.#headerOffset);
    if (this.#extensionType === 'x') this.#extensions.pax = pax;
  }

  /** One block of the list that continues an old GNU sparse header. */
  #handleSparseBlock(block: Buffer): void {
    const map = this.#sparse ?? [];
    readSparsePairs(block, 0, EXTENSION_PAIRS, map);
    if (map.length * 8 > this.#maxExtensionBytes) throw this.#invalid('sparse map too long');
    if (block[EXTENSION_EXTENDED_AT] === 0) this.#beginSparseBody();
  }

  /** One block of a map that stands in front of the data (PAX 1.0). */
  #handleSparseMapBlock(block: Buffer): void {
    this.#extensionBytes += BLOCK_BYTES;
    this.#bodyLeft -= BLOCK_BYTES;
    if (this.#bodyLeft < 0) throw this.#invalid('sparse map longer than the stored data');
    if (this.#extensionBytes > this.#maxExtensionBytes) throw this.#invalid('sparse map too long');
    this.#mapBlocks.push(Buffer.from(block));
    // Parsed again only when it has doubled: the cost stays linear.
    if (this.#mapBlocks.length < this.#nextMapParse && this.#bodyLeft >= BLOCK_BYTES) return;
    const parsed = parseSparseMap(Buffer.concat(this.#mapBlocks));
    if (typeof parsed === 'string') throw this.#invalid(parsed);
    if (parsed === undefined) {
      this.#nextMapParse = this.#mapBlocks.length * 2;
      return;
    }
    this.#mapBlocks = [];
    this.#sparse = parsed.map;
    this.#beginSparseBody();
  }

  #beginSparseBody(): void {
    const entry = this.#entry;
    if (entry === undefined) return;
    const problem = sparseMapProblem(this.#sparse ?? [], entry.sizeBytes, this.#bodyLeft);
    if (problem !== undefined) throw this.#invalid(problem);
    this.#segment = 0;
    this.#segmentDone = 0;
    this.#entry = { ...entry, storedBytes: this.#bodyLeft };
    this.#padding = paddingOf(this.#bodyLeft);
    this.#beginBody();
  }

  #beginBody(): void {
    const entry = this.#entry;
    if (entry === undefined) return;
    this.#handler.onEntry(entry);
    if (this.#bodyLeft > 0) this.#state = 'body';
    else this.#endBody();
  }

  #endBody(): void {
    if (this.#entry?.kind === 'file') this.#handler.onFileEnd();
    this.#entry = undefined;
    if (this.#padding > 0) this.#state = 'padding';
    else this.#expectHeader();
  }

  #deliver(bytes: Buffer): void {
    const map = this.#sparse;
    if (map === undefined) {
      const size = this.#entry?.sizeBytes ?? 0;
      this.#handler.onData(bytes, size - this.#bodyLeft);
      return;
    }
    let at = 0;
    while (at < bytes.byteLength) {
      const offset = map[this.#segment * 2] ?? 0;
      const left = (map[this.#segment * 2 + 1] ?? 0) - this.#segmentDone;
      const count = Math.min(left, bytes.byteLength - at);
      if (count > 0) this.#handler.onData(bytes.subarray(at, at + count), offset + this.#segmentDone);
      at += count;
      this.#segmentDone += count;
      if (count === left) {
        this.#segment += 1;
        this.#segmentDone = 0;
      }
    }
  }

  #invalid(reason: string): Error {
    return tarInvalid(reason, this.#headerOffset, this.#entry?.path);
  }
}

function paddingOf(sizeBytes: number): number {
  return (BLOCK_BYTES - (sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES;
}

function hasExtensions(extensions: EntryExtensions): boolean {
  return Object.keys(extensions).length > 0;
}
