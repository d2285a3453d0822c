/** The pool's side of `pool-socket.ts`: gives VMs away, and ends each with the connection it went to. */
import { chmod, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import process from 'node:process';
import type { HearthPaths } from '../../fsx/index.js';
import { POOL_PROTOCOL, poolSocketPath, readJsonLine } from './pool-socket.js';
import type { WaitingVm } from './waiting-vm.js';

export type ClaimVm = (key: string) => { readonly vm: WaitingVm; readonly done: () => void } | undefined;

const SOCKET_UMASK = 0o177;
const MAX_CONNECTIONS = 256;
const REQUEST_TIMEOUT_MS = 5000;

export class PoolServer {
  readonly #server: Server;
  readonly #path: string;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, path: string) {
    this.#server = server;
    this.#path = path;
  }

  /** Takes the place of a socket that nobody serves: there is one daemon. */
  static async listen(paths: HearthPaths, claim: ClaimVm): Promise<PoolServer> {
    const path = poolSocketPath(paths);
    await rm(path, { force: true });
    // Half-open: the command has said its last word, and waits to be told that the VM is gone.
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
    const pool = new PoolServer(server, path);
    server.maxConnections = MAX_CONNECTIONS;
    server.on('connection', (socket) => void pool.#serve(socket, claim));
    const previous = process.umask(SOCKET_UMASK);
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(path, resolve);
      });
    } finally {
      process.umask(previous);
    }
    await chmod(path, 0o600);
    return pool;
  }

  /** Takes no more, and cuts the connections there are. */
  async close(): Promise<void> {
    await rm(this.#path, { force: true });
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async #serve(socket: Socket, claim: ClaimVm): Promise<void> {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#sockets.delete(socket));
    try {
      const request = readJsonLine(socket, REQUEST_TIMEOUT_MS);
      socket.resume();
      const claimed = claim(keyOf(await request));
      if (claimed === undefined) socket.end('{"vm":null}\n');
      else await lend(claimed.vm, socket).finally(claimed.done);
    } catch {
      socket.destroy();
    }
    // Nobody reads any more what a client may still send.
    socket.resume();
  }
}

/** Connects the two until either is over; then the VM is. */
async function lend(vm: WaitingVm, socket: Socket): Promise<void> {
  try {
    const channel = await vm.claim();
    socket.write(`${JSON.stringify({ vm: vm.id })}\n`);
    await new Promise<void>((resolve) => {
      const over = (): void => resolve();
      socket.once('end', over).once('close', over);
      channel.once('end', over).once('close', over);
      void vm.exited.then(over);
      channel.pipe(socket, { end: false });
      socket.pipe(channel, { end: false });
      if (socket.closed || channel.closed) over();
    });
    channel.unpipe(socket);
    socket.unpipe(channel);
  } finally {
    await vm.close();
    socket.end();
  }
}

function keyOf(request: unknown): string {
  if (typeof request !== 'object' || request === null) return '';
  const { protocol, key } = request as { readonly protocol?: unknown; readonly key?: unknown };
  return protocol === POOL_PROTOCOL && typeof key === 'string' ? key : '';
}
