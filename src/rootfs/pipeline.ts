/** The threads of one build: started, fed with the growth of the blobs, and gone when it ends, however it ends. */
import { Worker } from 'node:worker_threads';
import { errnoOf, HearthError } from '../errors/index.js';
import { type Image, type ImageLayer, layerCompression } from '../oci/index.js';
import { createBlockRing } from './block-ring.js';
import { announceGrowth, createGrowth, type GrowthMemory } from './growing-file.js';
import type {
  ConverterData,
  ConvertMessage,
  ConvertProgress,
  ConvertResult,
  ConvertTask,
  DecompressorData,
  DecompressTask,
} from './messages.js';
import { decodeFailure } from './thread-failure.js';

export interface PipelineOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress: (progress: ConvertProgress) => void;
}

/** The layer in which a conversion failed. */
export class LayerFailure extends Error {
  readonly layerIndex: number;
  readonly failure: Error;

  constructor(layerIndex: number, failure: Error) {
    super(failure.message, { cause: failure });
    this.layerIndex = layerIndex;
    this.failure = failure;
  }
}

/** One thread would leave a core idle between two layers; more than two only add memory. */
const MAX_DECOMPRESSORS = 2;
/** How far a decompressing thread runs ahead, in blocks of 1 MiB. */
const RING_BLOCKS = 16;
/** Small limits make V8 collect early; a million entries need about half of the second. */
const HEAP_LIMITS = { maxYoungGenerationSizeMb: 8, maxOldGenerationSizeMb: 768 };

/**
 * Converts the layers of an image into the file `task.outputPath`.
 *
 * @throws {LayerFailure} When the content of a layer is at fault; `signal.reason`; whatever the layers'
 *   `open` and `available` reject with.
 */
export async function runPipeline(
  image: Image,
  task: ConvertTask,
  options: PipelineOptions,
): Promise<ConvertResult> {
  const { signal } = options;
  signal?.throwIfAborted();
  const layerCount = task.diffIds.length;
  const growth = createGrowth(layerCount);
  const rings = Array.from({ length: Math.min(MAX_DECOMPRESSORS, layerCount) }, () =>
    createBlockRing(RING_BLOCKS),
  );
  const workers: Worker[] = [];
  const start = (file: string, workerData: ConverterData | DecompressorData): Worker => {
    const worker = new Worker(workerUrl(file), {
      workerData,
      resourceLimits: HEAP_LIMITS,
    });
    workers.push(worker);
    return worker;
  };
  let onAbort: (() => void) | undefined;
  try {
    const decompressors = rings.map((ring) => start('decompress-worker.js', { ring, growth }));
    const converter = start('convert-worker.js', { task, rings });
    return await new Promise<ConvertResult>((resolve, reject) => {
      onAbort = () => reject(signal?.reason);
      signal?.addEventListener('abort', onAbort, { once: true });
      for (const worker of workers) {
        worker.on('error', (error) => reject(threadError(error)));
        worker.on('exit', () => reject(new HearthError('INTERNAL', 'a thread of the build ended early')));
      }
      const feed = async (layerIndex: number): Promise<void> => {
        const layer = image.layers[layerIndex];
        const decompressor = decompressors[(layerCount - 1 - layerIndex) % decompressors.length];
        if (layer === undefined || decompressor === undefined) return;
        decompressor.postMessage(await taskOf(layer, layerIndex));
      };
      converter.on('message', (message: ConvertMessage) => {
        switch (message.type) {
          case 'progress':
            options.onProgress(message.progress);
            break;
          case 'again':
            feed(message.layerIndex).catch(reject);
            break;
          case 'done':
            resolve(message.result);
            break;
          default: {
            const failure = decodeFailure(message.failure);
            const { layerIndex } = message;
            reject(layerIndex === undefined ? failure : new LayerFailure(layerIndex, failure));
          }
        }
      });
      const feedAll = async (): Promise<void> => {
        for (let layerIndex = layerCount - 1; layerIndex >= 0; layerIndex -= 1) await feed(layerIndex);
      };
      for (const [index, layer] of image.layers.entries()) watchGrowth(layer, index, growth).catch(reject);
      feedAll().catch(reject);
    });
  } finally {
    if (onAbort !== undefined) signal?.removeEventListener('abort', onAbort);
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

/** What a thread that cannot go on has died of. */
function threadError(error: unknown): unknown {
  if (errnoOf(error) !== 'ERR_WORKER_OUT_OF_MEMORY') return error;
  return new HearthError(
    'ENTRIES_TOO_MANY',
    'the image has more entries than fit into the memory of a build',
    {
      hint: 'Use a smaller image.',
      details: { limitBytes: HEAP_LIMITS.maxOldGenerationSizeMb * 1024 * 1024 },
      cause: error,
    },
  );
}

async function taskOf(layer: ImageLayer, layerIndex: number): Promise<DecompressTask> {
  const { sizeBytes, mediaType } = layer.descriptor;
  const blob = { path: await layer.open(), offsetBytes: layer.offsetBytes ?? 0, sizeBytes };
  return { layerIndex, blob, compression: layerCompression(mediaType) };
}

/** Starts the transfer of a blob and says as it grows. */
async function watchGrowth(layer: ImageLayer, layerIndex: number, growth: GrowthMemory): Promise<void> {
  await layer.open();
  const { sizeBytes } = layer.descriptor;
  for (let offset = 0; offset < sizeBytes; ) {
    offset = await layer.available(offset);
    announceGrowth(growth, layerIndex, offset);
  }
}

/** Threads run compiled code; under a test runner this file is the source and dist/ holds the other. */
function workerUrl(file: string): URL {
  const url = new URL(file, import.meta.url);
  if (import.meta.url.endsWith('.ts')) url.pathname = url.pathname.replace('/src/rootfs/', '/dist/rootfs/');
  return url;
}
