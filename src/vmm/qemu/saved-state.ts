/**
 * The state of a VM in a file: QEMU's migration stream, written through a socket that we serve, read from a
 * descriptor that QEMU inherits. So QEMU needs no right to open or start anything.
 *
 * Source: QEMU 7.2, docs/devel/migration.rst, qapi/migration.json (`x-ignore-shared`).
 */
import { type FileHandle, open, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { fileError, HearthError } from '../../errors/index.js';
import { SocketDirectory } from '../socket-directory.js';
import type { QmpClient, QmpEvent } from './qmp.js';

export interface SaveStateOptions {
  /** QEMU's working directory. */
  readonly directory: string;
  readonly statePath: string;
  /** Otherwise the guest's memory is in a file of its own and stays out of the stream. */
  readonly memoryInState: boolean;
  readonly signal?: AbortSignal;
}

export interface LoadStateOptions {
  /** Under which QEMU inherited the open state file. */
  readonly descriptor: number;
  readonly memoryInState: boolean;
  readonly paused: boolean;
  readonly signal?: AbortSignal;
}

const SOCKET_NAME = 'state.sock';
const TIMEOUT_MS = 120_000;
/** No brake: nobody else waits for this bandwidth, and the guest stands still. */
const MAX_BANDWIDTH = 2 ** 40;
/** What is collected for one write: a guest stands still while it is written. */
const WRITE_BYTES = 1024 * 1024;
const MAX_DOWNTIME_MS = 2_000_000;

/**
 * Writes the state of a paused VM to a new file, synced. The VM stays paused.
 *
 * @throws {HearthError} `VMM_REQUEST_FAILED`, `VMM_TIMEOUT`, file errors; no file is left then.
 */
export async function saveState(control: QmpClient, options: SaveStateOptions): Promise<void> {
  const { statePath, signal } = options;
  const limits = { timeoutMs: TIMEOUT_MS, ...(signal === undefined ? {} : { signal }) };
  const file = await open(statePath, 'wx', 0o600).catch((error: unknown) => {
    throw fileError(error, statePath);
  });
  try {
    await using receiver = await StateReceiver.listen(options.directory);
    await setCapabilities(control, options.memoryInState);
    await control.execute('migrate-set-parameters', {
      'max-bandwidth': MAX_BANDWIDTH,
      'downtime-limit': MAX_DOWNTIME_MS,
    });
    const finished = control.waitEvent('the end of saving', isEndOfMigration, limits);
    const [{ data }] = await Promise.all([
      finished,
      receiver.receive(file),
      control.execute('migrate', { uri: `unix:${SOCKET_NAME}` }, limits),
    ]);
    if (data.status !== 'completed') throw await migrationError(control, 'saving the VM failed');
    await file.sync();
  } catch (error) {
    await rm(statePath, { force: true });
    throw fileError(error, statePath);
  } finally {
    await file.close();
  }
}

/**
 * Lets a QEMU that was started with `-incoming defer` go on from the state. Resolves when the guest runs, or has its state.
 *
 * @throws {HearthError} `VMM_REQUEST_FAILED` when QEMU refuses it; a QEMU that cannot use a state ends.
 */
export async function loadState(control: QmpClient, options: LoadStateOptions): Promise<void> {
  const { descriptor, memoryInState, paused, signal } = options;
  const limits = { timeoutMs: TIMEOUT_MS, ...(signal === undefined ? {} : { signal }) };
  // All sent at once; QEMU carries them out in this order.
  const [{ data }] = await Promise.all([
    control.waitEvent('the end of loading', isEndOfMigration, limits),
    setCapabilities(control, memoryInState),
    control.execute('migrate-incoming', { uri: `fd:${descriptor}` }, limits),
  ]);
  if (data.status !== 'completed') throw await migrationError(control, 'resuming the VM failed');
  // The state was saved of a paused VM, and loads as one.
  if (!paused) await control.execute('cont', {}, limits);
}

function isEndOfMigration({ name, data }: QmpEvent): boolean {
  return name === 'MIGRATION' && (data.status === 'completed' || data.status === 'failed');
}

async function setCapabilities(control: QmpClient, memoryInState: boolean): Promise<void> {
  await control.execute('migrate-set-capabilities', {
    capabilities: [
      { capability: 'x-ignore-shared', state: !memoryInState },
      { capability: 'events', state: true },
    ],
  });
}

async function migrationError(control: QmpClient, what: string): Promise<HearthError> {
  const answer = await control.execute('query-migrate').catch(() => undefined);
  const status = JSON.stringify(answer ?? {}).slice(0, 500);
  return new HearthError('VMM_REQUEST_FAILED', `${what}: ${status}`, { details: { status } });
}

/** A socket in the VM's directory that takes one connection. */
class StateReceiver implements AsyncDisposable {
  readonly #directory: SocketDirectory;
  readonly #server: Server;
  readonly #path: string;
  readonly #connected: Promise<Socket>;

  private constructor(directory: SocketDirectory, server: Server, path: string) {
    this.#directory = directory;
    this.#server = server;
    this.#path = path;
    this.#connected = new Promise((resolve) => server.once('connection', resolve));
  }

  static async listen(path: string): Promise<StateReceiver> {
    const directory = await SocketDirectory.open(path);
    const server = createServer();
    server.maxConnections = 1;
    try {
      // That of a process that was killed while it saved the VM.
      await rm(join(path, SOCKET_NAME), { force: true });
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(directory.address(SOCKET_NAME), resolve);
      });
    } catch (error) {
      await directory[Symbol.asyncDispose]();
      throw error;
    }
    return new StateReceiver(directory, server, join(path, SOCKET_NAME));
  }

  async receive(file: FileHandle): Promise<void> {
    const socket = await this.#connected;
    let held: Buffer[] = [];
    let heldBytes = 0;
    for await (const chunk of socket) {
      held.push(chunk);
      heldBytes += chunk.byteLength;
      if (heldBytes < WRITE_BYTES) continue;
      await file.appendFile(Buffer.concat(held));
      held = [];
      heldBytes = 0;
    }
    await file.appendFile(Buffer.concat(held));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    await rm(this.#path, { force: true });
    await this.#directory[Symbol.asyncDispose]();
  }
}
