/** Entry of a decompressing thread: takes layers one after the other and sends them on in blocks. */
import { type MessagePort, parentPort } from 'node:worker_threads';
import { decompressed } from './decompress.js';
import { GrowingFile } from './growing-file.js';
import {
  BLOCK_BYTES,
  BLOCKS_PER_THREAD,
  type BlockReturn,
  type DecompressRequest,
  type DecompressTask,
  type LayerMessage,
} from './messages.js';
import { encodeFailure } from './thread-failure.js';

const tasks: DecompressTask[] = [];
const grown = new Map<number, number>();
const blocks: ArrayBuffer[] = [];
let blockCount = 0;
let wakeForBlock: (() => void) | undefined;
let wakeForTask: (() => void) | undefined;
let current: { layerIndex: number; file: GrowingFile } | undefined;

/** An empty block, as soon as there is one. */
async function takeBlock(): Promise<ArrayBuffer> {
  for (;;) {
    const block = blocks.pop();
    if (block !== undefined) return block;
    if (blockCount < BLOCKS_PER_THREAD) {
      blockCount += 1;
      return new ArrayBuffer(BLOCK_BYTES);
    }
    await new Promise<void>((resolve) => {
      wakeForBlock = resolve;
    });
  }
}

async function send(task: DecompressTask, file: GrowingFile): Promise<void> {
  const { port } = task;
  let block: Uint8Array | undefined;
  let filled = 0;
  let readBytes = 0;
  const flush = (): void => {
    if (block === undefined) return;
    const buffer = block.buffer as ArrayBuffer;
    post(port, { type: 'block', buffer, byteLength: filled, readBytes }, [buffer]);
    block = undefined;
    filled = 0;
  };
  for await (const chunk of decompressed(file, task.compression)) {
    readBytes = file.readBytes;
    for (let at = 0; at < chunk.byteLength; ) {
      block ??= new Uint8Array(await takeBlock());
      const count = Math.min(chunk.byteLength - at, BLOCK_BYTES - filled);
      block.set(chunk.subarray(at, at + count), filled);
      filled += count;
      at += count;
      if (filled === BLOCK_BYTES) flush();
    }
  }
  flush();
  post(port, { type: 'end', readBytes: file.readBytes });
}

async function run(task: DecompressTask): Promise<void> {
  task.port.on('message', (message: BlockReturn) => {
    blocks.push(message.buffer);
    wakeForBlock?.();
  });
  try {
    const file = new GrowingFile(task.path, task.sizeBytes);
    try {
      current = { layerIndex: task.layerIndex, file };
      file.grow(grown.get(task.layerIndex) ?? 0);
      await send(task, file);
    } finally {
      current = undefined;
      file.close();
    }
  } catch (error) {
    post(task.port, { type: 'failure', failure: encodeFailure(error) });
  }
}

function post(port: MessagePort, message: LayerMessage, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer);
}

async function serve(): Promise<never> {
  for (;;) {
    const task = tasks.shift();
    if (task !== undefined) {
      await run(task);
      continue;
    }
    await new Promise<void>((resolve) => {
      wakeForTask = resolve;
    });
  }
}

parentPort?.on('message', (request: DecompressRequest) => {
  if (request.type === 'task') {
    tasks.push(request);
    wakeForTask?.();
    return;
  }
  grown.set(request.layerIndex, request.byteCount);
  if (current?.layerIndex === request.layerIndex) current.file.grow(request.byteCount);
});
await serve();
