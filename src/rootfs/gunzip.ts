/**
 * gzip, decompressed on the calling thread straight into the sink. Source: RFC 1952.
 *
 * Several members are one stream; after the last one only zeros may follow.
 *
 * It drives zlib's handle, which every zlib function of Node has inside and npm's own unpacker uses as well:
 * the public interfaces hand each piece to another thread or allocate for it, which costs a third more time.
 */
import { constants, createGunzip, type Gunzip } from 'node:zlib';
import { HearthError } from '../errors/index.js';
import type { ByteSink } from './byte-sink.js';
import { compressionInvalid } from './compression-invalid.js';
import type { GrowingFile } from './growing-file.js';

interface ZlibHandle {
  onerror: (message: string, errno: number, code: string) => void;
  writeSync(
    flush: number,
    input: Uint8Array,
    inputOffset: number,
    inputLength: number,
    output: Uint8Array,
    outputOffset: number,
    outputLength: number,
  ): void;
}

/** @throws {HearthError} `COMPRESSION_INVALID`. */
export function gunzip(file: GrowingFile, sink: ByteSink): void {
  const stream = createGunzip();
  const { handle, state } = internalsOf(stream);
  let problem: string | undefined;
  handle.onerror = (message) => {
    problem ??= message;
  };
  /** Feeds `chunk` until zlib wants no more of it; returns how much it took. */
  const feed = (chunk: Uint8Array, flush: number, sourceOffset: number): number => {
    let at = 0;
    for (;;) {
      const room = sink.room();
      handle.writeSync(flush, chunk, at, chunk.byteLength - at, room, 0, room.byteLength);
      if (problem !== undefined) throw compressionInvalid(problem, sourceOffset + at);
      const [roomLeft = 0, chunkLeft = 0] = state;
      at = chunk.byteLength - chunkLeft;
      sink.commit(room.byteLength - roomLeft, sourceOffset + at);
      if (roomLeft > 0) return at;
    }
  };
  try {
    let offset = 0;
    for (const chunk of file.chunks()) {
      const taken = feed(chunk, constants.Z_NO_FLUSH, offset);
      offset += taken;
      if (taken < chunk.byteLength) {
        assertZeros(file, offset);
        return;
      }
    }
    feed(new Uint8Array(0), constants.Z_FINISH, offset);
  } finally {
    stream.close();
  }
}

/** What zlib leaves behind the last member is padding. */
function assertZeros(file: GrowingFile, from: number): void {
  for (let offset = from; ; ) {
    const rest = file.read(offset);
    if (rest.byteLength === 0) return;
    if (rest.some((byte) => byte !== 0)) throw compressionInvalid('data after the last gzip member', offset);
    offset += rest.byteLength;
  }
}

function internalsOf(stream: Gunzip): { handle: ZlibHandle; state: Uint32Array } {
  const { _handle: handle, _writeState: state } = stream as unknown as {
    _handle?: ZlibHandle;
    _writeState?: Uint32Array;
  };
  if (typeof handle?.writeSync === 'function' && state instanceof Uint32Array) return { handle, state };
  throw new HearthError('INTERNAL', `zlib of Node ${process.version} is not as it was in versions 20 to 24`, {
    hint: 'Run hearth with a Node version that its package.json names.',
  });
}
