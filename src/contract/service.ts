/** The operations as a program calls them, whoever carries them out: this process or the daemon. */
import type { GuestProcess } from '../agent/index.js';
import type { Runtime } from '../sandboxes/index.js';
import { backgroundHandlers } from './background-handlers.js';
import { diskHandlers } from './disk-handlers.js';
import { environmentHandlers } from './environment-handlers.js';
import { fileHandlers } from './file-handlers.js';
import type { HandlersOf, ServiceCallOptions } from './handlers.js';
import { createLocalStreams } from './local-streams.js';
import { networkHandlers } from './network-handlers.js';
import {
  OPERATIONS,
  type OperationInput,
  type OperationName,
  type OperationOutput,
  PROCESS_OPERATIONS,
  type ProcessInput,
  type ProcessOperationName,
} from './operations.js';
import { parseInput } from './parse-input.js';
import { poolHandlers } from './pool-handlers.js';
import { runHandlers } from './run-handlers.js';
import { snapshotHandlers } from './snapshot-handlers.js';
import type { StreamService } from './stream-operations.js';
import { summaryHandlers } from './summary-handlers.js';
import { workspaceHandlers } from './workspace-handlers.js';

export interface Service extends StreamService {
  /** @throws {HearthError} `REQUEST_INVALID` and what the operation throws. */
  call<N extends OperationName>(
    name: N,
    input: OperationInput<N>,
    options?: ServiceCallOptions,
  ): Promise<OperationOutput<N>>;
  /** Runs a command, or takes one up. When `signal` aborts, one that is not detached is killed. */
  process<N extends ProcessOperationName>(
    name: N,
    input: ProcessInput<N>,
    options?: { readonly signal?: AbortSignal },
  ): Promise<GuestProcess>;
}

const DEFAULT_LOG_BYTES = 256 * 1024;

/** The operations carried out here, of which nothing is written down. */
export function createPlainService(runtime: Runtime): Service {
  const handlers = handlersOf(runtime);
  return {
    async call(name, input, options = {}) {
      const handler: (input: never, options: ServiceCallOptions) => Promise<OperationOutput<typeof name>> =
        handlers[name];
      return await handler(parseInput(name, OPERATIONS[name].input, input) as never, options);
    },
    async process(name, input, options = {}) {
      if (name === 'exec.attach') {
        const {
          sandbox,
          execId,
          stdoutCursor = 0,
          stderrCursor = 0,
          stdin = false,
        } = parseInput(name, PROCESS_OPERATIONS['exec.attach'].input, input);
        const cursors = { stdout: stdoutCursor, stderr: stderrCursor };
        return await runtime.attach(sandbox, execId, cursors, { stdin, ...options });
      }
      const { sandbox, ...spec } = parseInput(name, PROCESS_OPERATIONS['exec.start'].input, input);
      return await runtime.exec(sandbox, spec, options);
    },
    ...createLocalStreams(runtime),
  };
}

function handlersOf(runtime: Runtime): HandlersOf<typeof OPERATIONS> {
  return {
    'sandbox.create': async (spec, options) => ({ sandbox: copy(await runtime.create(spec, options)) }),
    'sandbox.start': async ({ sandbox, cold }, options) => ({
      sandbox: copy(await runtime.start(sandbox, { ...options, cold })),
    }),
    'sandbox.stop': async ({ sandbox, graceMs }) => ({
      sandbox: copy(await runtime.stop(sandbox, { graceMs })),
    }),
    'sandbox.kill': async ({ sandbox }) => ({ sandbox: copy(await runtime.kill(sandbox)) }),
    'sandbox.remove': async ({ sandbox, force }) => await runtime.remove(sandbox, { force }),
    'sandbox.list': async () => ({
      sandboxes: await Promise.all(
        runtime.list().map(async (info) => ({
          ...info,
          lastActiveAt: await runtime.journal.lastActiveAt(info.id).catch(() => info.createdAt),
        })),
      ),
      damaged: runtime.damaged().map(({ id, error }) => ({ id, error: copy(error.toJSON()) })),
    }),
    'sandbox.inspect': async ({ sandbox: reference }) => {
      const { sandbox, execs } = await runtime.inspect(reference);
      return {
        sandbox: copy(sandbox),
        execs: execs.map(({ exitCode, signal, ...rest }) => ({
          ...rest,
          exitCode: exitCode ?? null,
          signal: signal ?? null,
        })),
      };
    },
    'sandbox.update': async ({ sandbox, ...changes }) => ({
      sandbox: copy(await runtime.update(sandbox, changes)),
    }),
    'sandbox.pause': async ({ sandbox }) => ({ sandbox: copy(await runtime.pause(sandbox)) }),
    'sandbox.resume': async ({ sandbox }) => ({ sandbox: copy(await runtime.resume(sandbox)) }),
    'sandbox.stats': async ({ sandbox }) => await runtime.stats(sandbox),
    'sandbox.logs': async ({ sandbox, maxBytes = DEFAULT_LOG_BYTES, cursor }) => {
      const piece = await runtime.console(sandbox, { maxBytes, cursor });
      return { base64: piece.bytes.toString('base64'), cursor: piece.cursor };
    },
    'exec.kill': async ({ sandbox, execId, signal }) => {
      await runtime.signalExec(sandbox, execId, signal ?? 'SIGTERM');
      return {};
    },
    ...runHandlers(runtime),
    ...environmentHandlers(runtime.environments),
    ...snapshotHandlers(runtime.snapshots),
    ...poolHandlers(runtime.pool),
    ...fileHandlers(runtime.files),
    ...diskHandlers(runtime.files.disks),
    ...networkHandlers(runtime),
    ...workspaceHandlers(runtime),
    ...backgroundHandlers(runtime.background),
    ...summaryHandlers(runtime),
  };
}

/** Callers may do with it what they like. */
function copy<T extends object>(value: T): { -readonly [K in keyof T]: T[K] } {
  return { ...value };
}
