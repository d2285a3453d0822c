/**
 * The directories of VMs that live no longer than one hearth command. A command holds its directory by listening on
 * a socket in it: the kernel closes that when the command ends, however it ends, and the next command removes a
 * directory whose socket nobody listens on. Unlike a process number this holds across containers that share the
 * directory, and unlike a lock it costs no program.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { errnoOf, fileError } from '../errors/index.js';

export interface VmDirectory extends AsyncDisposable {
  /** 12 hexadecimal digits. */
  readonly id: string;
  /** Fresh, mode 0700. */
  readonly path: string;
}

const ID_BYTES = 6;
const ID = /^[0-9a-f]{12}$/;
/** A directory that its command does not hold yet. */
const UNFINISHED = /^\.new-[0-9a-f]{12}$/;
const HOLDER_SOCKET = 'holder.sock';
/** Between making a directory and holding it are three system calls. */
const UNFINISHED_LIFE_MS = 60_000;
/** What connecting to a socket says when nobody listens on it, or there is none. */
const NOBODY = new Set(['ECONNREFUSED', 'ENOENT', 'ENOTSOCK']);

/**
 * Makes a fresh directory below `parent`, to be disposed of when its VM is gone, and removes what commands that
 * were killed have left there. Never touches what is in use.
 */
export async function createVmDirectory(parent: string): Promise<VmDirectory> {
  const id = randomBytes(ID_BYTES).toString('hex');
  const path = join(parent, id);
  const staging = join(parent, `.new-${id}`);
  try {
    await mkdir(parent, { recursive: true, mode: 0o700 });
    await mkdir(staging, { mode: 0o700 });
    const holder = await hold(staging);
    // It appears held, so that a sweep never meets one that only seems abandoned.
    await rename(staging, path);
    await sweep(parent);
    return {
      id,
      path,
      [Symbol.asyncDispose]: async () => {
        await rm(path, { recursive: true, force: true });
        holder.close();
      },
    };
  } catch (error) {
    throw fileError(error, path);
  }
}

/** Listens in the directory, without keeping this process alive. */
async function hold(directory: string): Promise<Server> {
  return await throughDescriptor(directory, async (address) => {
    const server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(address, resolve);
    });
    return server.unref();
  });
}

/** Gives the socket an address that is short whatever the directory's length; a socket's holds 107 bytes. */
async function throughDescriptor<T>(directory: string, body: (address: string) => Promise<T>): Promise<T> {
  const handle = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return await body(`/proc/self/fd/${handle.fd}/${HOLDER_SOCKET}`);
  } finally {
    await handle.close();
  }
}

async function sweep(parent: string): Promise<void> {
  const names = await readdir(parent);
  await Promise.all(
    names
      .filter((name) => ID.test(name) || UNFINISHED.test(name))
      .map(async (name) => {
        const path = join(parent, name);
        if (await isAbandoned(path, UNFINISHED.test(name))) await rm(path, { recursive: true, force: true });
      }),
  );
}

async function isAbandoned(path: string, isUnfinished: boolean): Promise<boolean> {
  try {
    if (isUnfinished && Date.now() - (await stat(path)).mtimeMs < UNFINISHED_LIFE_MS) return false;
    return await throughDescriptor(path, async (address) => NOBODY.has((await answerOf(address)) ?? ''));
  } catch (error) {
    // Its command is removing it.
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** The errno of connecting, undefined when somebody listens. */
function answerOf(address: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(address);
    socket.once('connect', () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.once('error', (error) => resolve(errnoOf(error)));
  });
}
