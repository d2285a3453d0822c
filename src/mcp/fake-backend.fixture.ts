/** A backend without VMs, for tests: it notes what it is asked, and commands are functions. */
import { PassThrough, Readable, Writable } from 'node:stream';
import type { ExecExit, GuestProcess } from '../agent/index.js';
import type { OperationInput, OperationName, OperationOutput, Service } from '../contract/index.js';
import { HearthError } from '../errors/index.js';
import type { Backend, OneShotSpec } from './backend.js';
import type { SandboxShown } from './sandbox-access.js';

interface FileRange {
  readonly path: string;
  readonly offsetBytes?: number;
  readonly lengthBytes?: number;
}

export interface FakeCommand {
  readonly stdout?: string | Buffer;
  readonly stderr?: string;
  readonly exit?: Partial<ExecExit>;
  /** Runs until it is killed. */
  readonly hangs?: boolean;
}

const EXIT: ExecExit = {
  exitCode: 0,
  timedOut: false,
  oomKilled: false,
  stdoutBytes: 0,
  stderrBytes: 0,
  lostBytes: 0,
  runtimeUs: 0,
  userUs: 0,
  systemUs: 0,
  maxRssKib: 0,
};

export class FakeBackend implements Backend {
  readonly calls: Array<readonly [name: string, input: object]> = [];
  readonly sandboxes: SandboxShown[] = [];
  /** Files of the one guest there is, by path. */
  readonly files = new Map<string, Buffer>();
  /** What operations answer that nothing is known of here. */
  readonly answers = new Map<OperationName, object>();
  killed = 0;
  respond: (script: string) => FakeCommand = () => ({});
  /** Thrown by the next start of a sandbox. */
  startFails: HearthError | undefined;

  async service(): Promise<Service> {
    return {
      call: async (name, input) => {
        this.calls.push([name, input]);
        return (await this.#answer(name, input)) as OperationOutput<typeof name>;
      },
      process: async (name, input, options = {}) => {
        this.calls.push([name, input]);
        return this.#run('argv' in input ? input.argv : [], options.signal);
      },
      download: async (name, input) => {
        this.calls.push([name, input]);
        const { path, offsetBytes = 0, lengthBytes = Number.MAX_SAFE_INTEGER } = input as FileRange;
        const bytes = this.#file(path);
        const content = Readable.from([bytes.subarray(offsetBytes, offsetBytes + lengthBytes)]);
        return { head: { file: { sizeBytes: bytes.byteLength } } as never, content };
      },
      upload: async (name, input, content) => {
        this.calls.push([name, input]);
        const chunks: Uint8Array[] = [];
        for await (const chunk of content) chunks.push(chunk);
        const bytes = Buffer.concat(chunks);
        this.files.set((input as FileRange).path, bytes);
        return { file: { sizeBytes: bytes.byteLength } } as never;
      },
    };
  }

  #file(path: string): Buffer {
    const bytes = this.files.get(path);
    if (bytes === undefined) throw new HearthError('GUEST_FILE_NOT_FOUND', `no file ${path}`);
    return bytes;
  }

  async environments(): ReturnType<Backend['environments']> {
    const debian = { name: 'debian:12', description: 'Debian', installed: true, isDefault: true };
    const alpine = {
      name: 'alpine:3.20',
      description: 'Alpine\u001b]0;x\u0007',
      installed: false,
      isDefault: false,
    };
    return {
      list: async () => [debian, alpine] as never,
      ensureInstalled: async (name = 'debian:12', options = {}) => {
        this.calls.push(['ensureInstalled', { name }]);
        if (name === 'none') throw new HearthError('ENVIRONMENT_NOT_FOUND', 'unknown environment none');
        options.onProgress?.({ phase: 'download', environment: name, doneBytes: 1024 * 1024 });
        return { name, source: 'test' } as never;
      },
    };
  }

  runOnce: Backend['runOnce'] = async (spec, { stdout, stderr, signal }) => {
    this.calls.push(['runOnce', spec satisfies OneShotSpec]);
    const { stdout: out = '', stderr: err = '', exit, hangs = false } = this.respond(spec.argv.at(-1) ?? '');
    await new Promise((resolve) => stdout.write(out, resolve));
    await new Promise((resolve) => stderr.write(err, resolve));
    if (hangs)
      await new Promise((_resolve, reject) =>
        signal.addEventListener('abort', () => {
          this.killed += 1;
          reject(signal.reason);
        }),
      );
    return { ...EXIT, ...exit, environment: spec.image ?? 'debian:12', accelerator: 'tcg' };
  };

  /** Adds one that others made, unless the labels say otherwise. */
  add(name: string, fields: Partial<SandboxShown> = {}): SandboxShown {
    // Only what the tools look at.
    const sandbox = {
      id: `id-${name}`,
      name,
      state: 'running',
      environment: 'debian:12',
      labels: {},
      createdAt: '2026-01-01T00:00:00.000Z',
      startedAt: null,
      stoppedAt: null,
      expiresAt: null,
      stopReason: null,
      failure: null,
      cpus: 1,
      memoryMib: 512,
      diskBytes: 0,
      accelerator: 'tcg',
      acceleratorReason: '',
      defaults: { env: [], workdir: '', user: '' },
      ttlMs: null,
      idleTimeoutMs: null,
      ports: [],
      pid: null,
      ...fields,
    } as SandboxShown;
    this.sandboxes.push(sandbox);
    return sandbox;
  }

  async #answer(name: OperationName, input: OperationInput<OperationName>): Promise<unknown> {
    if (name === 'sandbox.list') return { sandboxes: this.sandboxes, damaged: [] };
    if (name === 'sandbox.create') {
      const { labels = {}, ...spec } = input as OperationInput<'sandbox.create'>;
      const fields = { labels, state: 'created' as const, environment: spec.image };
      return { sandbox: this.add(spec.name ?? `box-${this.sandboxes.length + 1}`, fields) };
    }
    const reference = (input as { sandbox: string }).sandbox;
    const index = this.sandboxes.findIndex(({ id, name: own }) => id === reference || own === reference);
    const found = this.sandboxes[index];
    if (found === undefined) throw new HearthError('SANDBOX_NOT_FOUND', `no sandbox "${reference}"`);
    if (name === 'sandbox.start' && this.startFails !== undefined) throw this.startFails;
    if (name === 'sandbox.remove') {
      this.sandboxes.splice(index, 1);
      return { id: found.id, name: found.name };
    }
    const answer = this.answers.get(name);
    if (answer !== undefined) return answer;
    if (name === 'file.stat') {
      this.#file((input as FileRange).path);
      return { file: { mode: 0o755 } };
    }
    const state = {
      'sandbox.start': 'running',
      'sandbox.resume': 'running',
      'sandbox.stop': 'stopped',
    } as const;
    const next =
      name in state ? ({ ...found, state: state[name as keyof typeof state] } as SandboxShown) : found;
    this.sandboxes[index] = next;
    return { sandbox: next, execs: [] };
  }

  #run(argv: readonly string[], signal: AbortSignal | undefined): GuestProcess {
    const [, , script = '', , path] = argv;
    const stdout = new PassThrough();
    const stderr = new PassThrough();
    const writes = script.includes('cat > "$1"') && path !== undefined;
    const { stdout: out = '', stderr: err = '', exit, hangs = false } = writes ? {} : this.respond(script);
    const input: Buffer[] = [];
    const stdin = new Writable({
      write(chunk: Buffer, _encoding, done) {
        input.push(chunk);
        done();
      },
    });
    const exited = new Promise<ExecExit>((resolve, reject) => {
      stdin.once('finish', () => {
        if (!writes) return;
        this.files.set(path, Buffer.concat(input));
        resolve(EXIT);
      });
      if (!writes && !hangs) resolve({ ...EXIT, ...exit });
      signal?.addEventListener('abort', () => {
        this.killed += 1;
        reject(signal.reason);
        stdout.destroy();
        stderr.destroy();
      });
    });
    exited.catch(() => {});
    stdout.write(out);
    stderr.write(err);
    if (!hangs) {
      stdout.end();
      stderr.end();
    }
    const execId = 7;
    return {
      stdin,
      stdout,
      stderr,
      started: Promise.resolve({ execId, pid: 1, stdoutCursor: 0, stderrCursor: 0 }),
      exited,
      kill: () => {},
      resize: () => {},
      abandon: () => {},
    };
  }
}
