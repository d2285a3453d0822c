/** Entry of the converting thread: layers in through the rings, one ext4 image out. */
import { parentPort, workerData } from 'node:worker_threads';
import { BlockRingReader } from './block-ring.js';
import { convert } from './convert.js';
import type { ConverterData, ConvertMessage } from './messages.js';
import { encodeFailure } from './thread-failure.js';

const { task, rings } = workerData as ConverterData;
const readers = rings.map((memory) => new BlockRingReader(memory));
const post = (message: ConvertMessage): void => parentPort?.postMessage(message);
const top = task.diffIds.length - 1;
let current: number | undefined;

try {
  const result = await convert(task, {
    readLayer: (layerIndex, pass, handler) => {
      current = layerIndex;
      if (pass === 'again') post({ type: 'again', layerIndex });
      readers[(top - layerIndex) % readers.length]?.readLayer(handler);
      current = undefined;
    },
    onProgress: (progress) => post({ type: 'progress', progress }),
  });
  post({ type: 'done', result });
} catch (error) {
  post({ type: 'failure', failure: encodeFailure(error), layerIndex: current });
}
