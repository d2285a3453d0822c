/** Entry of the converting thread: layers in from the decompressing threads, one ext4 image out. */
import { parentPort, workerData } from 'node:worker_threads';
import { convert } from './convert.js';
import { LayerPorts } from './layer-ports.js';
import type { ConvertMessage, ConvertTask, LayerPort } from './messages.js';
import { encodeFailure } from './thread-failure.js';

const task = workerData as ConvertTask;
const post = (message: ConvertMessage): void => parentPort?.postMessage(message);
const ports = new LayerPorts((layerIndex) => post({ type: 'want', layerIndex }));
parentPort?.on('message', ({ layerIndex, port }: LayerPort) => ports.add(layerIndex, port));

let layerIndex: number | undefined;
try {
  const result = await convert(task, ports, {
    onLayer: (index) => {
      layerIndex = index;
    },
    onProgress: (progress) => post({ type: 'progress', progress }),
  });
  post({ type: 'done', result });
} catch (error) {
  post({ type: 'failure', failure: encodeFailure(error), layerIndex });
}
parentPort?.close();
