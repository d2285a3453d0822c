/**
 * What the threads of a build say to each other. One thread converts (hashes, parses, merges, writes), two
 * others decompress layers, alternating, one of them ahead; blocks of decompressed bytes travel by transfer
 * and come back empty, so that memory is bounded by the blocks there are.
 */
import type { MessagePort } from 'node:worker_threads';
import type { HearthErrorJson } from '../errors/index.js';
import type { Digest, LayerCompression } from '../oci/index.js';

/** Size of one block of decompressed bytes. */
export const BLOCK_BYTES = 1024 * 1024;
/** Blocks that each decompressing thread owns: how far it can run ahead. */
export const BLOCKS_PER_THREAD = 24;

/** A failure on its way to another thread. */
export type ThreadFailure =
  | { readonly kind: 'hearth'; readonly error: HearthErrorJson }
  | { readonly kind: 'other'; readonly message: string; readonly stack: string | undefined };

/** main → decompressing thread: decompress this layer next. */
export interface DecompressTask {
  readonly type: 'task';
  readonly layerIndex: number;
  /** The blob, perhaps still growing. */
  readonly path: string;
  readonly sizeBytes: number;
  /** What the media type says. */
  readonly compression: LayerCompression;
  readonly port: MessagePort;
}

/** main → decompressing thread: so many bytes of the blob can be read. */
export interface AvailableNotice {
  readonly type: 'available';
  readonly layerIndex: number;
  readonly byteCount: number;
}

export type DecompressRequest = DecompressTask | AvailableNotice;

/** Decompressing thread → converting thread, over the layer's port. */
export type LayerMessage =
  | {
      readonly type: 'block';
      readonly buffer: ArrayBuffer;
      readonly byteLength: number;
      readonly readBytes: number;
    }
  | { readonly type: 'end'; readonly readBytes: number }
  | { readonly type: 'failure'; readonly failure: ThreadFailure };

/** Converting thread → decompressing thread: the block comes back. */
export interface BlockReturn {
  readonly buffer: ArrayBuffer;
}

/** Given to the converting thread at its start. */
export interface ConvertTask {
  /** The staging file, created and empty. */
  readonly outputPath: string;
  readonly layerCount: number;
  readonly diffIds: readonly Digest[];
  readonly maxContentBytes: number;
  readonly maxEntries: number;
  readonly sizeBytes: number | undefined;
  readonly uuid: Uint8Array;
  readonly hashSeed: Uint8Array;
  readonly createdAtSeconds: number;
}

/** main → converting thread: the port of a layer; one for each pass over it. */
export interface LayerPort {
  readonly type: 'layer';
  readonly layerIndex: number;
  readonly port: MessagePort;
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
  /** The layer is wanted (again). */
  | { readonly type: 'want'; readonly layerIndex: number }
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
