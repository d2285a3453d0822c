/** The converting thread's end of the layers' ports: blocks in, empty blocks back. */
import type { MessagePort } from 'node:worker_threads';
import type { BlockReturn, LayerMessage } from './messages.js';
import { decodeFailure } from './thread-failure.js';

export interface LayerReadHandler {
  /** The next bytes of the layer; the view is valid only during the call. */
  readonly onBytes: (bytes: Uint8Array, readBytes: number) => void;
  /** Called with the milliseconds that passed without bytes, before they are handled. */
  readonly onWaited: (ms: number) => void;
}

export class LayerPorts {
  readonly #want: (layerIndex: number) => void;
  readonly #ports = new Map<number, MessagePort>();
  #onPort: (() => void) | undefined;

  /** @param want Asks for one more pass over a layer: its port arrives through `add`. */
  constructor(want: (layerIndex: number) => void) {
    this.#want = want;
  }

  add(layerIndex: number, port: MessagePort): void {
    this.#ports.set(layerIndex, port);
    this.#onPort?.();
  }

  /**
   * Reads a layer from its first to its last byte.
   *
   * @throws Whatever the decompressing thread or the handler threw.
   */
  async read(layerIndex: number, handler: LayerReadHandler): Promise<void> {
    const port = await this.#take(layerIndex);
    try {
      await new Promise<void>((resolve, reject) => {
        let idleSince = performance.now();
        port.on('message', (message: LayerMessage) => {
          const now = performance.now();
          handler.onWaited(now - idleSince);
          if (message.type === 'end') return resolve();
          if (message.type === 'failure') return reject(decodeFailure(message.failure));
          try {
            handler.onBytes(new Uint8Array(message.buffer, 0, message.byteLength), message.readBytes);
          } catch (error) {
            return reject(error);
          }
          const empty: BlockReturn = { buffer: message.buffer };
          port.postMessage(empty, [message.buffer]);
          idleSince = performance.now();
        });
      });
    } finally {
      port.close();
    }
  }

  async #take(layerIndex: number): Promise<MessagePort> {
    if (!this.#ports.has(layerIndex)) this.#want(layerIndex);
    for (;;) {
      const port = this.#ports.get(layerIndex);
      if (port !== undefined) {
        this.#ports.delete(layerIndex);
        return port;
      }
      await new Promise<void>((resolve) => {
        this.#onPort = resolve;
      });
    }
  }
}
