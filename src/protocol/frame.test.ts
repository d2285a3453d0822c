import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readVectors } from '../../test/support/protocol-vectors.js';
import { encodeFrame, type Frame, FrameDecoder, MAX_DATA_BYTES, MAX_PAYLOAD_BYTES } from './frame.js';

const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'));
const encoded = (frame: Frame): Uint8Array => new Uint8Array(Buffer.concat(encodeFrame(frame)));

describe('golden vectors', () => {
  const vectors = readVectors('frame.tsv');
  it.each(vectors.filter(([, , , payload]) => payload !== '!'))(
    '%s',
    (_name, streamId, type, payload, hex) => {
      const frame = { streamId: Number(streamId), type: Number(type), payload: bytesOf(payload ?? '') };
      expect(Buffer.from(encoded(frame)).toString('hex')).toBe(hex);
      const bytes = bytesOf(hex ?? '');
      expect([...new FrameDecoder().push(bytes)]).toEqual([frame]);
      for (let cut = 0; cut < bytes.byteLength; cut++) {
        const decoder = new FrameDecoder();
        expect([...decoder.push(bytes.subarray(0, cut))]).toEqual([]);
        expect(decoder.idle).toBe(cut === 0);
        expect([...decoder.push(bytes.subarray(cut))]).toEqual([frame]);
        expect(decoder.idle).toBe(true);
      }
    },
  );

  it.each(vectors.filter(([, , , payload]) => payload === '!'))(
    'refuses %s',
    (_name, _id, type, _payload, hex) => {
      const bytes = bytesOf(hex ?? '');
      expect(() => [...new FrameDecoder().push(bytes)]).toThrow(
        expect.objectContaining({
          code: 'FRAME_TOO_LARGE',
          details: expect.objectContaining({
            type: Number(type),
            lengthBytes: Buffer.from(bytes).readUInt32BE(0),
          }),
        }),
      );
    },
  );
});

describe('encodeFrame', () => {
  it.each([
    [0x20, MAX_PAYLOAD_BYTES],
    [0x10, MAX_DATA_BYTES],
    [0x12, MAX_DATA_BYTES],
    [0x13, MAX_PAYLOAD_BYTES],
  ])('of type %d takes %d bytes and no more', (type, limitBytes) => {
    expect(encodeFrame({ streamId: 1, type, payload: new Uint8Array(limitBytes) })[1].byteLength).toBe(
      limitBytes,
    );
    expect(() => encodeFrame({ streamId: 1, type, payload: new Uint8Array(limitBytes + 1) })).toThrow(
      expect.objectContaining({ code: 'FRAME_TOO_LARGE' }),
    );
  });
});

describe('FrameDecoder', () => {
  const frames = fc.array(
    fc.record({
      streamId: fc.nat({ max: 2 ** 32 - 1 }),
      type: fc.nat({ max: 255 }),
      payload: fc.uint8Array({ maxLength: 300 }),
    }),
    { maxLength: 20 },
  );

  it('gives back what was encoded, however it is cut', () => {
    fc.assert(
      fc.property(frames, fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }), (sent, cuts) => {
        const bytes = Buffer.concat(sent.map(encoded));
        const decoder = new FrameDecoder();
        const received: Frame[] = [];
        for (let at = 0, turn = 0; at < bytes.byteLength; turn++) {
          const next = at + (cuts[turn % cuts.length] ?? 1);
          received.push(...decoder.push(bytes.subarray(at, next)));
          at = next;
        }
        expect(
          received.map(({ payload, ...rest }) => ({ ...rest, payload: new Uint8Array(payload) })),
        ).toEqual(sent);
        expect(decoder.idle).toBe(true);
      }),
    );
  });

  it('copies a small payload, so that it does not keep a large chunk alive', () => {
    const small = encoded({ streamId: 1, type: 0x11, payload: new Uint8Array(10) });
    const large = encoded({ streamId: 1, type: 0x11, payload: new Uint8Array(60_000) });
    const chunk = Buffer.concat([small, large]);
    const [first, second] = [...new FrameDecoder().push(chunk)];
    expect(first?.payload.buffer.byteLength).toBe(10);
    expect(second?.payload.buffer).toBe(chunk.buffer);
  });

  it('holds no more than one payload of bytes that drip in', () => {
    const decoder = new FrameDecoder();
    const header = encodeFrame({ streamId: 1, type: 0x20, payload: new Uint8Array(MAX_PAYLOAD_BYTES) })[0];
    const before = process.memoryUsage().arrayBuffers;
    expect([...decoder.push(header)]).toEqual([]);
    for (let drops = 0; drops < 1000; drops++) expect([...decoder.push(Uint8Array.of(1))]).toEqual([]);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 * MAX_PAYLOAD_BYTES);
  });
});
