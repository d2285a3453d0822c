/**
 * Zstandard in JavaScript, for Node versions whose zlib has none: frames in, bytes out, as they come.
 *
 * Source: RFC 8878. Dictionaries are refused. Content checksums are not computed: what is decoded here has a
 * digest of its own.
 */
import { type BlockContext, decodeBlock, MAX_BLOCK_BYTES, newBlockContext, type Output } from './block.js';
import { ZstdProblem } from './problem.js';

/** Largest window that is decoded. What zstd makes without `--ultra` or `--long` needs at most 8 MiB. */
export const MAX_WINDOW_BYTES = 64 * 1024 * 1024;

const FRAME_MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const MIN_HEADER_BYTES = 6;
/** The bit readers look a few bytes beyond a block, on both sides. */
const MARGIN = 8;
const FIRST_BUFFER_BYTES = 1024 * 1024;

type State = 'magic' | 'skippableSize' | 'header' | 'blockHeader' | 'block' | 'checksum';

export class ZstdDecoder {
  readonly #emit: (bytes: Uint8Array) => void;
  readonly #input = new Uint8Array(MAX_BLOCK_BYTES + 2 * MARGIN);
  #inputBytes = 0;
  #need = 4;
  #state: State = 'magic';
  /** Bytes of a skippable frame that are still to come. */
  #skip = 0;
  #windowBytes = 0;
  #hasChecksum = false;
  #isLast = false;
  #blockType = 0;
  #blockBytes = 0;
  #context: BlockContext = newBlockContext();
  readonly #output: Output = { bytes: new Uint8Array(FIRST_BUFFER_BYTES), length: 0, history: 0 };

  /** @param emit Gets views that are valid only during the call. */
  constructor(emit: (bytes: Uint8Array) => void) {
    this.#emit = emit;
  }

  /** @throws {ZstdProblem} What is wrong with the stream. */
  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.byteLength; ) {
      if (this.#skip > 0) {
        const count = Math.min(this.#skip, chunk.byteLength - at);
        this.#skip -= count;
        at += count;
        continue;
      }
      const count = Math.min(this.#need - this.#inputBytes, chunk.byteLength - at);
      this.#input.set(chunk.subarray(at, at + count), MARGIN + this.#inputBytes);
      this.#inputBytes += count;
      at += count;
      while (this.#inputBytes === this.#need && this.#skip === 0) this.#handle();
    }
  }

  /** @throws {ZstdProblem} When the stream ends inside a frame. */
  finish(): void {
    if (this.#state !== 'magic' || this.#inputBytes > 0)
      throw new ZstdProblem('the stream ends inside a frame');
  }

  #expect(state: State, need: number): void {
    this.#state = state;
    this.#need = need;
    this.#inputBytes = 0;
  }

  /** `#need` bytes are there. A state that finds it needs more of the same raises `#need`. */
  #handle(): void {
    const view = new DataView(this.#input.buffer, MARGIN, this.#need);
    switch (this.#state) {
      case 'magic': {
        const magic = view.getUint32(0, true);
        if (magic === FRAME_MAGIC) this.#expect('header', MIN_HEADER_BYTES - 4);
        else if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) this.#expect('skippableSize', 4);
        else throw new ZstdProblem('not a frame');
        break;
      }
      case 'skippableSize':
        this.#skip = view.getUint32(0, true);
        this.#expect('magic', 4);
        break;
      case 'header':
        this.#readHeader(view);
        break;
      case 'blockHeader':
        this.#readBlockHeader(view.getUint16(0, true) | (view.getUint8(2) << 16));
        break;
      case 'block':
        this.#readBlock();
        break;
      default:
        this.#expect('magic', 4);
    }
  }

  #readHeader(view: DataView): void {
    const descriptor = view.getUint8(0);
    const isSingleSegment = (descriptor & 0x20) !== 0;
    const sizeFlag = descriptor >> 6;
    const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
    const sizeBytes = sizeFlag === 0 ? (isSingleSegment ? 1 : 0) : 2 ** sizeFlag;
    const dictionaryAt = isSingleSegment ? 1 : 2;
    const length = dictionaryAt + dictionaryBytes + sizeBytes;
    if (this.#need < length) {
      this.#need = length;
      return;
    }
    if ((descriptor & 0x08) !== 0) throw new ZstdProblem('reserved bits are set');
    for (let i = 0; i < dictionaryBytes; i += 1) {
      if (view.getUint8(dictionaryAt + i) !== 0) throw new ZstdProblem('it needs a dictionary');
    }
    this.#windowBytes = isSingleSegment
      ? contentSize(view, dictionaryAt + dictionaryBytes, sizeBytes)
      : windowSize(view.getUint8(1));
    if (this.#windowBytes > MAX_WINDOW_BYTES) {
      throw new ZstdProblem(
        `it needs a window of ${this.#windowBytes} bytes, at most ${MAX_WINDOW_BYTES} are kept`,
      );
    }
    this.#hasChecksum = (descriptor & 0x04) !== 0;
    this.#context = newBlockContext();
    this.#output.length = 0;
    this.#output.history = 0;
    this.#expect('blockHeader', 3);
  }

  #readBlockHeader(header: number): void {
    this.#isLast = (header & 1) !== 0;
    this.#blockType = (header >> 1) & 3;
    this.#blockBytes = header >> 3;
    if (this.#blockType === 3) throw new ZstdProblem('a block of a reserved type');
    if (this.#blockBytes > MAX_BLOCK_BYTES) throw new ZstdProblem('a block that is too large');
    const stored = this.#blockType === 1 ? 1 : this.#blockBytes;
    this.#expect('block', stored);
    if (stored === 0) this.#readBlock();
  }

  #readBlock(): void {
    const output = this.#makeRoom();
    const start = output.length;
    const end = MARGIN + this.#need;
    if (this.#blockType === 0) {
      output.bytes.set(this.#input.subarray(MARGIN, end), start);
      output.length += this.#need;
    } else if (this.#blockType === 1) {
      output.bytes.fill(this.#input[MARGIN] ?? 0, start, start + this.#blockBytes);
      output.length += this.#blockBytes;
    } else {
      if (this.#need === 0) throw new ZstdProblem('an empty compressed block');
      decodeBlock(this.#input, MARGIN, end, this.#context, output);
    }
    output.history = Math.min(output.history + output.length - start, this.#windowBytes);
    if (output.length > start) this.#emit(output.bytes.subarray(start, output.length));
    if (!this.#isLast) this.#expect('blockHeader', 3);
    else if (this.#hasChecksum) this.#expect('checksum', 4);
    else this.#expect('magic', 4);
  }

  /** Room for one more block: the buffer grows with the frame up to its window, then slides. */
  #makeRoom(): Output {
    const output = this.#output;
    if (output.length + MAX_BLOCK_BYTES <= output.bytes.byteLength) return output;
    const kept = output.bytes.subarray(output.length - output.history, output.length);
    const largest = this.#windowBytes + Math.max(FIRST_BUFFER_BYTES, this.#windowBytes >> 2);
    const size = Math.min(output.bytes.byteLength * 2, largest);
    if (size > output.bytes.byteLength && kept.byteLength + MAX_BLOCK_BYTES > output.bytes.byteLength / 2) {
      const larger = new Uint8Array(size);
      larger.set(kept);
      output.bytes = larger;
    } else {
      output.bytes.copyWithin(0, output.length - output.history, output.length);
    }
    output.length = output.history;
    return output;
  }
}

function windowSize(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

function contentSize(view: DataView, at: number, byteCount: number): number {
  if (byteCount === 1) return view.getUint8(at);
  if (byteCount === 2) return view.getUint16(at, true) + 256;
  if (byteCount === 4) return view.getUint32(at, true);
  return Number(view.getBigUint64(at, true));
}
