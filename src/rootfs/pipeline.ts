/** The threads of one build: started, fed with the growth of the blobs, and gone when it ends, however it ends. */
import { MessageChannel, Worker } from 'node:worker_threads';
import { HearthError } from '../errors/index.js';
import { type Image, type ImageLayer, layerCompression } from '../oci/index.js';
import type {
  ConvertMessage,
  ConvertProgress,
  ConvertResult,
  ConvertTask,
  DecompressRequest,
  LayerPort,
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
const YOUNG_GENERATION_MIB = 16;

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
  const workers: Worker[] = [];
  const start = (file: string, workerData?: unknown): Worker => {
    const worker = new Worker(workerUrl(file), {
      workerData,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MIB },
    });
    workers.push(worker);
    return worker;
  };
  try {
    const converter = start('convert-worker.js', task);
    const decompressors = Array.from({ length: Math.min(MAX_DECOMPRESSORS, task.layerCount) }, () =>
      start('decompress-worker.js'),
    );
    return await new Promise<ConvertResult>((resolve, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
      for (const worker of workers) {
        worker.on('error', reject);
        worker.on('exit', () => reject(new HearthError('INTERNAL', 'a thread of the build ended early')));
      }
      const feed = (layerIndex: number): void => {
        const layer = image.layers[layerIndex];
        const decompressor = decompressors[(task.layerCount - 1 - layerIndex) % decompressors.length];
        if (layer === undefined || decompressor === undefined) return;
        feedLayer(layer, layerIndex, decompressor, converter).catch(reject);
      };
      converter.on('message', (message: ConvertMessage) => {
        switch (message.type) {
          case 'progress':
            options.onProgress(message.progress);
            break;
          case 'want':
            feed(message.layerIndex);
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
      for (let layerIndex = task.layerCount - 1; layerIndex >= 0; layerIndex -= 1) feed(layerIndex);
    });
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

/** Starts one pass over a layer and tells its decompressing thread as the blob grows. */
async function feedLayer(
  layer: ImageLayer,
  layerIndex: number,
  decompressor: Worker,
  converter: Worker,
): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  const notice: LayerPort = { type: 'layer', layerIndex, port: port2 };
  converter.postMessage(notice, [port2]);
  const { sizeBytes, mediaType } = layer.descriptor;
  const path = await layer.open();
  const task: DecompressRequest = {
    type: 'task',
    layerIndex,
    path,
    sizeBytes,
    compression: layerCompression(mediaType),
    port: port1,
  };
  decompressor.postMessage(task, [port1]);
  for (let offset = 0; offset < sizeBytes; ) {
    offset = await layer.available(offset);
    const growth: DecompressRequest = { type: 'available', layerIndex, byteCount: offset };
    decompressor.postMessage(growth);
  }
}

/** Threads run compiled code; under a test runner this file is the source and dist/ holds the other. */
function workerUrl(file: string): URL {
  const url = new URL(file, import.meta.url);
  if (import.meta.url.endsWith('.ts')) url.pathname = url.pathname.replace('/src/rootfs/', '/dist/rootfs/');
  return url;
}
