import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fieldsText, readVectors } from '../../test/support/protocol-vectors.js';
import * as files from './file-message.js';
import * as messages from './message.js';
import { decodeMessage, encodeMessage, type Message } from './message-type.js';
import {
  bytes,
  count64,
  decodePayload,
  encodePayload,
  list,
  record,
  text,
  u8,
  u16,
  u32,
  u64,
} from './wire.js';

const isMessage = (value: unknown): value is Message<unknown> =>
  typeof value === 'object' && value !== null && 'type' in value && 'field' in value;
const all = ([...Object.values(messages), ...Object.values(files)] as unknown[]).filter(isMessage);
const byName = new Map(all.map((message) => [message.name, message]));
const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'));
const invalid = expect.objectContaining({ code: 'AGENT_PROTOCOL_INVALID' });

function find(name: string): Message<unknown> {
  const message = byName.get(name);
  if (message === undefined) throw new Error(`no message ${name}`);
  return message;
}

describe('golden vectors', () => {
  const vectors = readVectors('message.tsv');
  it.each(vectors.filter(([, , fields]) => !fields?.startsWith('!')))('%s', (_name, type, fields, hex) => {
    const message = find(type ?? '');
    const payload = bytesOf(hex ?? '');
    const value = decodeMessage(message, payload);
    expect(fieldsText(value)).toBe(fields);
    expect(Buffer.from(encodeMessage(message, value)).toString('hex')).toBe(hex);
    for (let cut = 0; cut < payload.byteLength; cut++) {
      expect(() => decodeMessage(message, payload.subarray(0, cut)), `cut at ${cut}`).toThrow(invalid);
    }
    expect(() => decodeMessage(message, Buffer.concat([payload, Buffer.of(0)]))).toThrow(invalid);
  });

  it.each(vectors.filter(([, , fields]) => fields === '!'))('refuses %s', (_name, type, _fields, hex) => {
    expect(() => decodeMessage(find(type ?? ''), bytesOf(hex ?? ''))).toThrow(
      expect.objectContaining({
        code: 'AGENT_PROTOCOL_INVALID',
        details: expect.objectContaining({ message: type }),
      }),
    );
  });
});

describe('message types', () => {
  it('have numbers and names of their own', () => {
    expect(new Set(all.map(({ type }) => type)).size).toBe(all.length);
    expect(byName.size).toBe(all.length);
  });
});

describe('fields', () => {
  it.each([
    [u8, 255, 256],
    [u16, 65_535, 65_536],
    [u32, 2 ** 32 - 1, 2 ** 32],
    [count64, 2 ** 53 - 1, 2 ** 53],
  ])('hold whole numbers up to their limit', (field, most, tooMuch) => {
    for (const value of [0, 1, most]) expect(decodePayload(field, encodePayload(field, value))).toBe(value);
    for (const value of [-1, 0.5, Number.NaN, tooMuch, Number.POSITIVE_INFINITY]) {
      expect(() => encodePayload(field, value)).toThrow(expect.objectContaining({ code: 'USAGE_INVALID' }));
    }
  });

  it('hold 64 bits', () => {
    for (const value of [0n, 2n ** 63n, 2n ** 64n - 1n]) {
      expect(decodePayload(u64, encodePayload(u64, value))).toBe(value);
    }
    for (const value of [-1n, 2n ** 64n]) expect(() => encodePayload(u64, value)).toThrow();
    expect(() => decodePayload(count64, encodePayload(u64, 2n ** 53n))).toThrow(invalid);
  });

  it('refuse a list that claims more than its message holds, before making room for it', () => {
    const items = list(record({ value: u32 }), 4);
    expect(() => decodePayload(items, bytesOf('ffffffff00000001'))).toThrow(invalid);
    expect(() => decodePayload(items, bytesOf('0000000200000001'))).toThrow(invalid);
    expect(decodePayload(items, bytesOf('0000000100000001'))).toEqual([{ value: 1 }]);
  });

  it('refuse NUL in a text, on both sides', () => {
    expect(() => encodePayload(text, 'a\0b')).toThrow(expect.objectContaining({ code: 'USAGE_INVALID' }));
    expect(() => decodePayload(text, bytesOf('00000003610062' + '00'))).toThrow(invalid);
    expect(() => decodePayload(text, bytesOf('000000016161'))).toThrow(invalid);
  });

  it('keep texts and bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.uint8Array(), (words, data) => {
        fc.pre(!words.includes('\0'));
        const field = record({ words: text, data: bytes });
        expect(decodePayload(field, encodePayload(field, { words, data }))).toEqual({ words, data });
      }),
    );
  });

  it('read garbage without any other error than their own', () => {
    fc.assert(
      fc.property(fc.constantFrom(...all), fc.uint8Array({ maxLength: 200 }), (message, payload) => {
        try {
          decodeMessage(message, payload);
        } catch (error) {
          expect(error).toMatchObject({ code: 'AGENT_PROTOCOL_INVALID' });
        }
      }),
      { numRuns: 2000 },
    );
  });
});
