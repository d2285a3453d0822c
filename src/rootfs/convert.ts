/**
 * Layers become an ext4 image: every decompressed byte is hashed, parsed and, where the merge wants it,
 * written, in one go. Runs in a thread of its own.
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { fileError, HearthError } from '../errors/index.js';
import { createExt4Image, type Ext4File, type Ext4ImageWriter } from '../ext4/index.js';
import { LayerMerger, type MissingBodies } from '../layers/index.js';
import { digestAlgorithm, digestOfHash } from '../oci/index.js';
import { type TarEntry, type TarHandler, TarReader } from '../tar/index.js';
import type { BlockHandler } from './block-ring.js';
import { Flusher } from './flusher.js';
import type { ConvertProgress, ConvertResult, ConvertTask } from './messages.js';

/** What the conversion needs from the threads around it. */
export interface ConvertHost {
  /** Reads a layer from its first to its last byte: all layers once, top layer first, then some `again`. */
  readonly readLayer: (layerIndex: number, pass: 'first' | 'again', handler: BlockHandler) => void;
  /** Called at most ten times a second while layers are read. */
  readonly onProgress: (progress: ConvertProgress) => void;
}

const PROGRESS_INTERVAL_MS = 100;
/** What headers, padding and extensions of one entry may take on top of its body, for the limit of a layer. */
const OVERHEAD_BYTES_PER_ENTRY = 2048;

interface Meters {
  wait: number;
  hash: number;
  layers: number;
  uncompressedBytes: number;
  progressAt: number;
}

/**
 * Synchronous but for the last flush.
 *
 * @throws {HearthError} `DIFF_ID_MISMATCH`, `CONTENT_TOO_LARGE`, and what reading, merging and writing throw.
 *   The output is worthless then.
 */
export async function convert(task: ConvertTask, host: ConvertHost): Promise<ConvertResult> {
  const fd = openSync(task.outputPath, 'r+');
  try {
    using writer = createExt4Image(fd);
    const layerCount = task.diffIds.length;
    const merger = new LayerMerger({ ...task, layerCount });
    const flusher = new Flusher(fd);
    const meters: Meters = { wait: 0, hash: 0, layers: 0, uncompressedBytes: 0, progressAt: 0 };
    const read = (layerIndex: number, pass: 'first' | 'again', handler: TarHandler): void =>
      readLayer(task, host, { layerIndex, pass, handler, meters, merger, flusher });
    for (let layerIndex = layerCount - 1; layerIndex >= 0; layerIndex -= 1) {
      read(
        layerIndex,
        'first',
        storing(writer, (entry) => merger.add(entry)),
      );
      merger.endLayer();
    }
    const merged = merger.finish();
    for (const missing of merged.missing) read(missing.layerIndex, 'again', storing(writer, choose(missing)));

    const progress = (stage: 'finish' | 'sync'): void =>
      host.onProgress(progressOf(stage, 0, 0, meters, merger));
    progress('finish');
    const startedAt = performance.now();
    const summary = writer.finish(merged.root, {
      uuid: task.uuid,
      hashSeed: task.hashSeed,
      createdAt: { seconds: task.createdAtSeconds, nanoseconds: 0 },
      ...(task.sizeBytes === undefined ? {} : { sizeBytes: task.sizeBytes }),
    });
    const finishedAt = performance.now();
    progress('sync');
    await flusher.finish();
    return {
      sizeBytes: summary.sizeBytes,
      contentBytes: summary.contentBytes,
      writtenBytes: summary.writtenBytes,
      entryCount: merger.entryCount,
      uncompressedBytes: meters.uncompressedBytes,
      durationsMs: {
        wait: meters.wait,
        hash: meters.hash,
        layers: meters.layers,
        finish: finishedAt - startedAt,
        sync: performance.now() - finishedAt,
      },
    };
  } catch (error) {
    throw fileError(error, task.outputPath);
  } finally {
    closeSync(fd);
  }
}

/** Stores the bodies that `choose` names a file for. */
function storing(writer: Ext4ImageWriter, choose: (entry: TarEntry) => Ext4File | undefined): TarHandler {
  let file: Ext4File | undefined;
  let position = 0;
  return {
    onEntry(entry) {
      file = choose(entry);
      position = 0;
      if (file !== undefined) writer.beginFile();
    },
    onData(bytes, fileOffsetBytes) {
      if (file === undefined) return;
      if (fileOffsetBytes > position) writer.skip(fileOffsetBytes - position);
      writer.write(bytes);
      position = fileOffsetBytes + bytes.byteLength;
    },
    onFileEnd() {
      if (file === undefined) return;
      if (file.data.sizeBytes > position) writer.skip(file.data.sizeBytes - position);
      const { sizeBytes, extents } = writer.endFile();
      // A copy has room for these extents only; the array they were collected in has room for more.
      file.data = { sizeBytes, extents: extents.slice() };
      file = undefined;
    },
  };
}

function choose({ bodies }: MissingBodies): () => Ext4File | undefined {
  let ordinal = 0;
  return () => {
    const file = bodies.get(ordinal);
    ordinal += 1;
    return file;
  };
}

interface LayerPass {
  readonly layerIndex: number;
  readonly pass: 'first' | 'again';
  readonly handler: TarHandler;
  readonly meters: Meters;
  readonly merger: LayerMerger;
  readonly flusher: Flusher;
}

function readLayer(task: ConvertTask, host: ConvertHost, layerPass: LayerPass): void {
  const { layerIndex, pass, handler, meters, merger, flusher } = layerPass;
  const expected = task.diffIds[layerIndex];
  if (expected === undefined) throw new HearthError('INTERNAL', `layer ${layerIndex} has no diffID`);
  const algorithm = digestAlgorithm(expected);
  const hash = createHash(algorithm);
  const reader = new TarReader(handler);
  const limitBytes = task.maxContentBytes + task.maxEntries * OVERHEAD_BYTES_PER_ENTRY;
  let layerBytes = 0;
  host.readLayer(layerIndex, pass, {
    onWaited: (ms) => {
      meters.wait += ms;
    },
    onBytes: (bytes, readBytes) => {
      layerBytes += bytes.byteLength;
      if (layerBytes > limitBytes) throw layerTooLarge(layerIndex, layerBytes, limitBytes);
      const startedAt = performance.now();
      hash.update(bytes);
      const hashedAt = performance.now();
      reader.push(bytes);
      const parsedAt = performance.now();
      meters.hash += hashedAt - startedAt;
      meters.layers += parsedAt - hashedAt;
      meters.uncompressedBytes += bytes.byteLength;
      flusher.add(bytes.byteLength);
      if (parsedAt - meters.progressAt < PROGRESS_INTERVAL_MS) return;
      meters.progressAt = parsedAt;
      host.onProgress(progressOf('layers', layerIndex, readBytes, meters, merger));
    },
  });
  const actual = digestOfHash(hash, algorithm);
  if (actual !== expected) {
    throw new HearthError(
      'DIFF_ID_MISMATCH',
      `layer ${layerIndex} unpacks to ${actual}, expected ${expected}`,
      {
        hint: 'The image is malformed or was altered; rebuild it or use another one.',
        details: { layerIndex, expected, actual, uncompressedBytes: layerBytes },
      },
    );
  }
  reader.finish();
}

function progressOf(
  stage: ConvertProgress['stage'],
  layerIndex: number,
  layerReadBytes: number,
  { uncompressedBytes }: Meters,
  { entryCount }: LayerMerger,
): ConvertProgress {
  return { stage, layerIndex, layerReadBytes, uncompressedBytes, entryCount };
}

function layerTooLarge(layerIndex: number, sizeBytes: number, limitBytes: number): HearthError {
  const message = `layer ${layerIndex} has at least ${sizeBytes} bytes uncompressed, the limit is ${limitBytes}`;
  return new HearthError('CONTENT_TOO_LARGE', message, {
    hint: 'Raise the limit with --max-content if you trust this image.',
    details: { what: 'layer', layerIndex, sizeBytes, limitBytes },
  });
}
