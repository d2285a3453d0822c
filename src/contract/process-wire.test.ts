import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeProcessFrame, jsonOfFrame, ProcessFrameDecoder } from './process-wire.js';

describe('process frames', () => {
  it('come out as they went in, however they are cut', () => {
    const frames = fc.array(
      fc.record({ type: fc.integer({ min: 0, max: 255 }), payload: fc.uint8Array({ maxLength: 300 }) }),
    );
    fc.assert(
      fc.property(frames, fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (sent, cuts) => {
        const bytes = Buffer.concat(sent.map(({ type, payload }) => encodeProcessFrame(type, payload)));
        const decoder = new ProcessFrameDecoder();
        const received = [];
        for (let offset = 0, turn = 0; offset < bytes.byteLength; turn += 1) {
          const length = cuts[turn % cuts.length] ?? 1;
          received.push(...decoder.push(bytes.subarray(offset, offset + length)));
          offset += length;
        }
        expect(received.map(({ type, payload }) => ({ type, payload: new Uint8Array(payload) }))).toEqual(
          sent.map(({ type, payload }) => ({ type, payload: new Uint8Array(payload) })),
        );
      }),
    );
  });

  it.each([
    [10, true],
    [11, false],
    [0xffffffff, false],
  ])('of %d bytes with a limit of 10', (lengthBytes, fits) => {
    const header = Buffer.alloc(5);
    header.writeUInt32BE(lengthBytes, 1);
    const push = (): unknown => new ProcessFrameDecoder(10).push(header);
    if (fits) expect(push()).toEqual([]);
    else expect(push).toThrow(expect.objectContaining({ code: 'DAEMON_PROTOCOL_INVALID' }));
  });

  it('refuse what is not JSON', () => {
    expect(() => jsonOfFrame({ type: 1, payload: Buffer.from('{') })).toThrow(
      expect.objectContaining({ code: 'DAEMON_PROTOCOL_INVALID' }),
    );
  });
});
