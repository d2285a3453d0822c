/** Keeps the first bytes of what it is given and counts the rest, so that a flood cannot fill memory. */
export class BoundedBytes {
  readonly #limitBytes: number;
  readonly #chunks: Uint8Array[] = [];
  #keptBytes = 0;
  #totalBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Copies what it keeps: the bytes belong to whoever gave them. */
  push(chunk: Uint8Array): void {
    const kept = chunk.subarray(0, this.#limitBytes - this.#keptBytes);
    if (kept.byteLength > 0) this.#chunks.push(Uint8Array.from(kept));
    this.#keptBytes += kept.byteLength;
    this.#totalBytes += chunk.byteLength;
  }

  get truncated(): boolean {
    return this.#totalBytes > this.#keptBytes;
  }

  get totalBytes(): number {
    return this.#totalBytes;
  }

  bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  /** The kept bytes as text where they are UTF-8, else as base64. A character that the limit cut is left out. */
  encoded(): EncodedBytes {
    const bytes = this.bytes();
    return encodeBytes(this.truncated ? bytes.subarray(0, wholeCharacters(bytes)) : bytes);
  }
}

export interface EncodedBytes {
  readonly text: string;
  readonly encoding: 'utf8' | 'base64';
}

/** Bytes as text where they are UTF-8, else as base64. */
export function encodeBytes(bytes: Uint8Array): EncodedBytes {
  try {
    return {
      text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes),
      encoding: 'utf8',
    };
  } catch {
    return { text: Buffer.from(bytes).toString('base64'), encoding: 'base64' };
  }
}

const LONGEST_CHARACTER_BYTES = 4;

/** How many of these bytes are left without the beginning of a UTF-8 character at their end. */
export function wholeCharacters(bytes: Uint8Array): number {
  for (let back = 1; back < LONGEST_CHARACTER_BYTES && back <= bytes.byteLength; back += 1) {
    const byte = bytes[bytes.byteLength - back] ?? 0;
    if (byte < 0x80) break;
    if (byte < 0xc0) continue;
    const lengthBytes = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    return lengthBytes > back ? bytes.byteLength - back : bytes.byteLength;
  }
  return bytes.byteLength;
}
