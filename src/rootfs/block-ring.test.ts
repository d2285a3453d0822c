import { describe, expect, it } from 'vitest';
import { HearthError } from '../errors/index.js';
import { BlockRingReader, BlockRingWriter, createBlockRing } from './block-ring.js';

const MIB = 1024 * 1024;

function readAll(reader: BlockRingReader): { bytes: Buffer; positions: number[] } {
  const chunks: Buffer[] = [];
  const positions: number[] = [];
  reader.readLayer({
    onBytes: (bytes, sourceBytes) => {
      chunks.push(Buffer.from(bytes));
      positions.push(sourceBytes);
    },
    onWaited: () => undefined,
  });
  return { bytes: Buffer.concat(chunks), positions };
}

describe('BlockRing', () => {
  it.each([0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB])('carries a layer of %i bytes', (byteLength) => {
    const memory = createBlockRing(8);
    const writer = new BlockRingWriter(memory);
    const sent = Buffer.alloc(byteLength, 'abc');
    writer.write(sent, 7);
    writer.end(9);
    expect(readAll(new BlockRingReader(memory)).bytes.equals(sent)).toBe(true);
  });

  it('carries layer after layer, around the ring', () => {
    const memory = createBlockRing(3);
    const writer = new BlockRingWriter(memory);
    const reader = new BlockRingReader(memory);
    for (let layer = 0; layer < 10; layer += 1) {
      writer.write(Buffer.from(`layer ${layer}`), layer);
      writer.end(layer);
      expect(readAll(reader)).toEqual({ bytes: Buffer.from(`layer ${layer}`), positions: [layer] });
    }
  });

  it('takes bytes that were written in place', () => {
    const memory = createBlockRing(2);
    const writer = new BlockRingWriter(memory);
    writer.room().set([1, 2, 3]);
    writer.commit(2, 5);
    expect(writer.room().byteLength).toBe(MIB - 2);
    writer.end(5);
    expect(readAll(new BlockRingReader(memory)).bytes).toEqual(Buffer.from([1, 2]));
  });

  it('counts on beyond 2^31 blocks', () => {
    const memory = createBlockRing(2);
    // As they are after 2^31 - 1 blocks.
    new Int32Array(memory.counts).fill(2 ** 31 - 1);
    const writer = new BlockRingWriter(memory);
    const reader = new BlockRingReader(memory);
    for (let i = 0; i < 4; i += 1) {
      writer.end(0);
      expect(readAll(reader).bytes.byteLength).toBe(0);
    }
    expect(new Int32Array(memory.counts)[0]).toBe(-(2 ** 31) + 3);
  });

  it('brings failures over with their code', () => {
    const memory = createBlockRing(4);
    const writer = new BlockRingWriter(memory);
    writer.write(Buffer.from('some'), 0);
    writer.fail(
      new HearthError('COMPRESSION_INVALID', 'bad', { hint: 'Pull again.', details: { offsetBytes: 3 } }),
    );
    writer.fail(new Error('x'.repeat(3 * MIB)));
    const reader = new BlockRingReader(memory);
    expect(() => readAll(reader)).toThrow(
      expect.objectContaining({
        code: 'COMPRESSION_INVALID',
        hint: 'Pull again.',
        details: { offsetBytes: 3 },
      }),
    );
    expect(() => readAll(reader)).toThrow(/failure/);
  });
});
