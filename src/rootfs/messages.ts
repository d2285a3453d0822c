/**
 * What the threads of a build say to each other. One thread converts: it hashes, parses, merges and writes.
 * Two others decompress layers by turns, top layer first, so that one is ahead while the other is being read;
 * bytes travel through their rings. The main thread tells how far blobs have arrived.
 */
import type { Digest, LayerCompression } from '../oci/index.js';
import type { BlockRingMemory } from './block-ring.js';
import type { BlobPlace, GrowthMemory } from './growing-file.js';
import type { ThreadFailure } from './thread-failure.js';

/** Given to a decompressing thread at its start. */
export interface DecompressorData {
  readonly ring: BlockRingMemory;
  readonly growth: GrowthMemory;
}

/** main → decompressing thread: decompress this layer next. */
export interface DecompressTask {
  readonly layerIndex: number;
  /** The blob, perhaps still growing. */
  readonly blob: BlobPlace;
  /** What the media type says. */
  readonly compression: LayerCompression;
}

/** What is to be converted, and into what. */
export interface ConvertTask {
  /** An empty file. */
  readonly outputPath: string;
  /** Base layer first. */
  readonly diffIds: readonly Digest[];
  readonly maxContentBytes: number;
  readonly maxEntries: number;
  readonly sizeBytes: number | undefined;
  readonly uuid: Uint8Array;
  readonly hashSeed: Uint8Array;
  readonly createdAtSeconds: number;
}

/** Given to the converting thread at its start. */
export interface ConverterData {
  readonly task: ConvertTask;
  /** The layers are in them by turns, the top layer in the first. */
  readonly rings: readonly BlockRingMemory[];
}

/** Figures of a finished conversion. */
export interface ConvertResult {
  readonly sizeBytes: number;
  readonly contentBytes: number;
  readonly writtenBytes: number;
  readonly entryCount: number;
  readonly uncompressedBytes: number;
  readonly durationsMs: ConvertDurations;
}

export interface ConvertDurations {
  /** Waiting for decompressed bytes. */
  readonly wait: number;
  /** Hashing them. */
  readonly hash: number;
  /** Parsing, merging, writing bodies. */
  readonly layers: number;
  /** Writing inodes, directories, bitmaps and the journal. */
  readonly finish: number;
  /** fsync. */
  readonly sync: number;
}

/** Converting thread → main. */
export type ConvertMessage =
  /** A layer has to be read once more. */
  | { readonly type: 'again'; readonly layerIndex: number }
  | { readonly type: 'progress'; readonly progress: ConvertProgress }
  | { readonly type: 'done'; readonly result: ConvertResult }
  | { readonly type: 'failure'; readonly failure: ThreadFailure; readonly layerIndex: number | undefined };

export interface ConvertProgress {
  readonly stage: 'layers' | 'finish' | 'sync';
  /** The layer being read, counted from the base. */
  readonly layerIndex: number;
  /** Compressed bytes read of the present layer. */
  readonly layerReadBytes: number;
  /** Decompressed bytes of all layers so far. */
  readonly uncompressedBytes: number;
  readonly entryCount: number;
}
