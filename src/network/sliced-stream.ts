/**
 * A stream that is read in small slices.
 *
 * An HTTP parser works through everything it is handed before it can be stopped. A chunk of 64 KiB can
 * hold two thousand requests, each of which costs kilobytes as an object; a slice bounds how many there
 * are before a limit takes hold.
 */
import { Duplex } from 'node:stream';
import { destroyStream } from './splice.js';

export interface SlicedStream {
  /** Stands for the original in everything: bytes, ends, errors, destruction. */
  readonly stream: Duplex;
  /** From here on reads are as large as they come. */
  stopSlicing(): void;
}

/** @param original Belongs to the returned stream from here on. */
export function sliceReads(original: Duplex, sliceBytes: number): SlicedStream {
  let limitBytes = sliceBytes;
  let isWanted = false;

  const pull = () => {
    while (isWanted) {
      const chunk: Buffer | null = original.read(
        original.readableLength > limitBytes ? limitBytes : undefined,
      );
      if (chunk === null) return;
      isWanted = stream.push(chunk);
    }
  };
  const stream = new Duplex({
    readableHighWaterMark: sliceBytes,
    read() {
      isWanted = true;
      pull();
    },
    write(chunk: Buffer, _encoding, callback) {
      if (original.write(chunk)) callback();
      else original.once('drain', callback);
    },
    final(callback) {
      original.end(() => callback());
    },
    destroy(error, callback) {
      destroyStream(original, false);
      callback(error);
    },
  });
  Object.assign(stream, {
    resetAndDestroy() {
      destroyStream(original, true);
      stream.destroy();
    },
  });

  original.on('readable', pull);
  original.on('end', () => stream.push(null));
  original.on('error', (error) => stream.destroy(error));
  original.on('close', () => {
    const isComplete = original.readableEnded && original.writableFinished;
    if (!isComplete) stream.destroy();
  });
  return {
    stream,
    stopSlicing() {
      limitBytes = Number.POSITIVE_INFINITY;
    },
  };
}
