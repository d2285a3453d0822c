/** Entry of a decompressing thread: takes layers one after the other and fills its ring with them. */
import { parentPort, workerData } from 'node:worker_threads';
import { BlockRingWriter } from './block-ring.js';
import { decompress } from './decompress.js';
import { GrowingFile } from './growing-file.js';
import type { DecompressorData, DecompressTask } from './messages.js';

const { ring: memory, growth } = workerData as DecompressorData;
const ring = new BlockRingWriter(memory);
let turn: Promise<void> = Promise.resolve();

async function run({ layerIndex, blob, compression }: DecompressTask): Promise<void> {
  try {
    const file = new GrowingFile(blob, growth, layerIndex);
    try {
      await decompress(file, compression, ring);
      ring.end(file.readBytes);
    } finally {
      file.close();
    }
  } catch (error) {
    ring.fail(error);
  }
}

parentPort?.on('message', (task: DecompressTask) => {
  turn = turn.then(() => run(task));
});
