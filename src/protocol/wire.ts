/**
 * Fields of a message: how each kind of value stands on the wire.
 *
 * Source: `protocol/PROTOCOL.md`, "Fields". Pure; every length is checked before
 * anything is allocated, so a message costs at most a small multiple of itself.
 */
import { HearthError } from '../errors/index.js';

export interface Field<T> {
  read(reader: WireReader): T;
  write(writer: WireWriter, value: T): void;
}

/** What stands for a `Field<T>` in a record: the type of its value. */
export type ValueOf<F> = F extends Field<infer T> ? T : never;

function malformed(what: string, details: Readonly<Record<string, unknown>> = {}): HearthError {
  return new HearthError('AGENT_PROTOCOL_INVALID', `malformed message: ${what}`, {
    hint: 'The guest agent does not keep to the protocol; start the sandbox again from a trusted environment.',
    details: { what, ...details },
  });
}

/** Reads a payload from front to back. */
export class WireReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get leftBytes(): number {
    return this.#bytes.byteLength - this.#offset;
  }

  #advance(lengthBytes: number): number {
    if (lengthBytes > this.leftBytes) {
      throw malformed('it ends too early', { wantedBytes: lengthBytes, leftBytes: this.leftBytes });
    }
    const at = this.#offset;
    this.#offset += lengthBytes;
    return at;
  }

  uint8(): number {
    return this.#view.getUint8(this.#advance(1));
  }
  uint16(): number {
    return this.#view.getUint16(this.#advance(2));
  }
  uint32(): number {
    return this.#view.getUint32(this.#advance(4));
  }
  uint64(): bigint {
    return this.#view.getBigUint64(this.#advance(8));
  }
  /** A view, not a copy. */
  raw(lengthBytes: number): Uint8Array {
    const at = this.#advance(lengthBytes);
    return this.#bytes.subarray(at, at + lengthBytes);
  }
}

/** Collects the parts of a payload. */
export class WireWriter {
  readonly #parts: Uint8Array[] = [];
  #lengthBytes = 0;

  raw(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.#lengthBytes += bytes.byteLength;
  }
  uint(value: number | bigint, sizeBytes: 1 | 2 | 4 | 8): void {
    const exact = typeof value === 'bigint' || Number.isSafeInteger(value);
    if (!exact || value < 0 || value >= 2 ** (8 * sizeBytes)) {
      throw new HearthError('USAGE_INVALID', `not an unsigned ${8 * sizeBytes}-bit integer: ${value}`, {
        hint: 'Give a whole number within the documented range.',
        details: { value: String(value), sizeBytes },
      });
    }
    const wide = new Uint8Array(8);
    new DataView(wide.buffer).setBigUint64(0, BigInt(value));
    this.raw(wide.subarray(8 - sizeBytes));
  }
  finish(): Uint8Array {
    const all = new Uint8Array(this.#lengthBytes);
    let offset = 0;
    for (const part of this.#parts) {
      all.set(part, offset);
      offset += part.byteLength;
    }
    return all;
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true });

export const u8: Field<number> = {
  read: (reader) => reader.uint8(),
  write: (writer, value) => writer.uint(value, 1),
};
export const u16: Field<number> = {
  read: (reader) => reader.uint16(),
  write: (writer, value) => writer.uint(value, 2),
};
export const u32: Field<number> = {
  read: (reader) => reader.uint32(),
  write: (writer, value) => writer.uint(value, 4),
};
/** All 64 bits, for times in nanoseconds. */
export const u64: Field<bigint> = {
  read: (reader) => reader.uint64(),
  write: (writer, value) => writer.uint(value, 8),
};
/** 64 bits on the wire for a count, which is at most 2^53-1. */
export const count64: Field<number> = {
  read: (reader) => {
    const value = reader.uint64();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed('count above 2^53-1');
    return Number(value);
  },
  write: (writer, value) => writer.uint(value, 8),
};

/** Exactly `lengthBytes` bytes. */
export function fixed(lengthBytes: number): Field<Uint8Array> {
  return {
    read: (reader) => new Uint8Array(reader.raw(lengthBytes)),
    write: (writer, value) => {
      if (value.byteLength !== lengthBytes) {
        throw new HearthError('USAGE_INVALID', `${value.byteLength} bytes where ${lengthBytes} are wanted`, {
          hint: 'Give a value of the documented length.',
          details: { wantedBytes: lengthBytes, actualBytes: value.byteLength },
        });
      }
      writer.raw(value);
    },
  };
}

/** A length of 32 bits and as many bytes. */
export const bytes: Field<Uint8Array> = {
  read: (reader) => new Uint8Array(reader.raw(reader.uint32())),
  write: (writer, value) => {
    writer.uint(value.byteLength, 4);
    writer.raw(value);
  },
};

function readText(reader: WireReader): Uint8Array {
  const lengthBytes = reader.uint32();
  const content = reader.raw(lengthBytes);
  if (reader.uint8() !== 0) throw malformed('text without its final NUL');
  if (content.includes(0)) throw malformed('text with a NUL inside');
  return content;
}

function writeText(writer: WireWriter, content: Uint8Array): void {
  if (content.includes(0)) {
    throw new HearthError('USAGE_INVALID', 'a text for the guest contains a NUL character', {
      hint: 'Remove the NUL character from the argument, variable or path.',
      details: { lengthBytes: content.byteLength },
    });
  }
  writer.uint(content.byteLength, 4);
  writer.raw(content);
  writer.uint(0, 1);
}

/** Text in UTF-8; what is not valid UTF-8 reads as U+FFFD. */
export const text: Field<string> = {
  read: (reader) => decoder.decode(readText(reader)),
  write: (writer, value) => writeText(writer, encoder.encode(value)),
};

/** A name or path of the guest, as bytes: it need not be valid UTF-8. A string is written as UTF-8. */
export const pathText: Field<string | Uint8Array> = {
  read: (reader) => new Uint8Array(readText(reader)),
  write: (writer, value) => writeText(writer, typeof value === 'string' ? encoder.encode(value) : value),
};

/** A count of 32 bits and as many items; `leastBytes` is the smallest size of one. */
export function list<T>(item: Field<T>, leastBytes: number): Field<readonly T[]> {
  return {
    read: (reader) => {
      const count = reader.uint32();
      if (count * leastBytes > reader.leftBytes) throw malformed('list longer than its message', { count });
      return Array.from({ length: count }, () => item.read(reader));
    },
    write: (writer, values) => {
      writer.uint(values.length, 4);
      for (const value of values) item.write(writer, value);
    },
  };
}

type Fields = Readonly<Record<string, Field<never> | Field<unknown>>>;
export type RecordOf<S> = { readonly [K in keyof S]: ValueOf<S[K]> };

/** Fields one after the other, in the order in which they are named. */
export function record<const S extends Fields>(fields: S): Field<RecordOf<S>> {
  const entries = Object.entries(fields) as [keyof S & string, Field<unknown>][];
  return {
    read: (reader) => {
      const value: Partial<Record<keyof S, unknown>> = {};
      for (const [name, field] of entries) value[name] = field.read(reader);
      return value as RecordOf<S>;
    },
    write: (writer, value) => {
      for (const [name, field] of entries) field.write(writer, value[name]);
    },
  };
}

/** Decodes a whole payload. Throws `AGENT_PROTOCOL_INVALID` when bytes are missing or left over. */
export function decodePayload<T>(field: Field<T>, payload: Uint8Array): T {
  const reader = new WireReader(payload);
  const value = field.read(reader);
  if (reader.leftBytes > 0) throw malformed('bytes left over', { leftBytes: reader.leftBytes });
  return value;
}

export function encodePayload<T>(field: Field<T>, value: T): Uint8Array {
  const writer = new WireWriter();
  field.write(writer, value);
  return writer.finish();
}
