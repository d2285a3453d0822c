/** The files of sandboxes, by the name of the sandbox: of running ones through the guest, of all from their disks. */
import type {
  AgentClient,
  FileAttributes,
  GuestEntry,
  GuestFile,
  WriteFileOptions,
} from '../../agent/index.js';
import { HearthError } from '../../errors/index.js';
import { SandboxDisks } from '../disks/sandbox-disks.js';
import type { Sandbox } from '../sandbox.js';
import { tarOfTree, treeOfTar } from './guest-tar.js';

export interface FileCallOptions {
  readonly signal?: AbortSignal;
}

/** What is absent, or undefined, is as the agent has it. */
type Loose<T> = { readonly [K in keyof T]?: T[K] | undefined };

export interface ListedFiles {
  /** By path. */
  readonly entries: readonly GuestEntry[];
  readonly truncated: boolean;
}

/** The most that one answer of the guest may hold, whoever asks. */
const MAX_LISTED = 100_000;
const MAX_ARCHIVED = 1_000_000;

/**
 * Every `reference` is that of a sandbox; paths that do not begin with a slash begin at the root.
 * All throw `SANDBOX_NOT_FOUND`, `SANDBOX_NOT_RUNNING`, `VM_EXITED`, `AGENT_…` and `GUEST_FILE_…`.
 */
export class SandboxFiles {
  /** The same files as they are on disks, of stopped sandboxes too. */
  readonly disks: SandboxDisks;
  readonly #find: (reference: string) => Sandbox;

  constructor(find: (reference: string) => Sandbox) {
    this.#find = find;
    this.disks = new SandboxDisks(find);
  }

  async stat(
    reference: string,
    path: string,
    options: FileCallOptions & { readonly follow?: boolean } = {},
  ): Promise<GuestFile> {
    return await this.#use(reference, options, (agent) => agent.files.stat(absolute(path), options));
  }

  /** The files in a directory; with `recursive`, all below it. */
  async list(
    reference: string,
    path: string,
    options: FileCallOptions & { readonly recursive: boolean; readonly maxEntries: number },
  ): Promise<ListedFiles> {
    const { recursive, maxEntries } = options;
    const entries = await this.#use(reference, options, async (agent) =>
      recursive ? await listTree(agent, path, options) : await listDirectory(agent, path, options),
    );
    entries.sort((one, other) => Buffer.compare(one.path, other.path));
    return { entries: entries.slice(0, maxEntries), truncated: entries.length > maxEntries };
  }

  async *read(
    reference: string,
    path: string,
    options: FileCallOptions & Loose<{ offsetBytes: number; lengthBytes: number }> = {},
  ): AsyncGenerator<Uint8Array> {
    const sandbox = this.#find(reference);
    yield* sandbox.stream((agent) => agent.files.open(absolute(path), given(options)), options);
  }

  /** Puts a file in place whole or not at all. */
  async write(
    reference: string,
    path: string,
    content: Uint8Array | AsyncIterable<Uint8Array>,
    options: Loose<WriteFileOptions> = {},
  ): Promise<GuestFile> {
    const write = given(options);
    return await this.#use(reference, write, (agent) => agent.files.write(absolute(path), content, write));
  }

  async mkdir(
    reference: string,
    path: string,
    options: Loose<FileCallOptions & FileAttributes & { parents: boolean }> = {},
  ): Promise<void> {
    const passed = given(options);
    await this.#use(reference, passed, (agent) => agent.files.mkdir(absolute(path), passed));
  }

  async remove(
    reference: string,
    path: string,
    options: Loose<FileCallOptions & { recursive: boolean; missingOk: boolean }> = {},
  ): Promise<void> {
    const passed = given(options);
    await this.#use(reference, passed, (agent) => agent.files.remove(absolute(path), passed));
  }

  async rename(reference: string, from: string, to: string, options: FileCallOptions = {}): Promise<void> {
    await this.#use(reference, options, (agent) => agent.files.rename(absolute(from), absolute(to), options));
  }

  /** The file or directory at `path` as an archive whose root is called `name`; links are not followed. */
  async *readTar(
    reference: string,
    path: string,
    name: string,
    options: FileCallOptions = {},
  ): AsyncGenerator<Uint8Array> {
    const sandbox = this.#find(reference);
    yield* sandbox.stream((agent) => tarOfTree(agent.files.readTree(absolute(path), options), name), options);
  }

  /**
   * Puts the files of an archive below the directory `path`, which has to be there. Those written before
   * something fails stay.
   *
   * @returns How many entries the archive has.
   */
  async writeTar(
    reference: string,
    path: string,
    content: AsyncIterable<Uint8Array>,
    options: FileCallOptions & { readonly keepOwners: boolean },
  ): Promise<number> {
    return await this.#use(reference, options, async (agent) => {
      const root = absolute(path);
      const { kind } = await agent.files.stat(root, { ...options, follow: true });
      if (kind !== 'directory') throw notADirectory(root);
      // The wire joins root and path with a slash of its own.
      const below = root.replace(/\/+$/, '') || '/.';
      return await agent.files.writeTree(below, treeOfTar(content, { maxEntries: MAX_ARCHIVED }), options);
    });
  }

  async #use<T>(
    reference: string,
    { signal }: Loose<FileCallOptions>,
    body: (agent: AgentClient) => Promise<T>,
  ): Promise<T> {
    return await this.#find(reference).use(body, signal === undefined ? {} : { signal });
  }
}

async function listDirectory(
  agent: AgentClient,
  path: string,
  options: FileCallOptions,
): Promise<GuestEntry[]> {
  return await agent.files.list(absolute(path), { ...options, maxEntries: MAX_LISTED });
}

async function listTree(
  agent: AgentClient,
  path: string,
  options: FileCallOptions & { readonly maxEntries: number },
): Promise<GuestEntry[]> {
  const entries: GuestEntry[] = [];
  for await (const { entry } of agent.files.readTree(absolute(path), { ...options, contents: false })) {
    if (entry.path.byteLength > 0) entries.push(entry);
    if (entries.length > options.maxEntries) break;
  }
  return entries;
}

function absolute(path: string): string {
  return path.startsWith('/') ? path : `/${path}`;
}

function notADirectory(path: string): HearthError {
  return new HearthError('GUEST_FILE_INVALID', `${JSON.stringify(path)} of the guest is not a directory`, {
    hint: 'Name a directory that exists in the guest.',
    details: { path },
  });
}

/** Without the fields that are undefined. */
function given<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}
