/** Writes down in a sandbox's journal what was done in it, whoever asked. */
import type { GuestProcess } from '../agent/index.js';
import type { Runtime } from '../sandboxes/index.js';
import type { OperationInput, OperationName, OperationOutput } from './operations.js';
import { createPlainService, type Service } from './service.js';

type Describe<N extends OperationName> = (
  input: OperationInput<N>,
  output: OperationOutput<N>,
) => string | undefined;
type Described = { readonly [N in OperationName]?: Describe<N> };

const nothingMore = (): string => '';

/** What is said of each operation that changes a sandbox; undefined: nothing. */
const DESCRIBED: Described = {
  'sandbox.start': nothingMore,
  'sandbox.stop': nothingMore,
  'sandbox.kill': nothingMore,
  'sandbox.pause': nothingMore,
  'sandbox.resume': nothingMore,
  'sandbox.reset': nothingMore,
  'sandbox.restore': ({ name }) => name,
  'sandbox.fork': (_input, { sandboxes }) => sandboxes.map(({ name }) => name).join(' '),
  'snapshot.create': ({ name }) => name,
  'snapshot.remove': ({ name }) => name,
  'file.mkdir': ({ path }) => path,
  'file.remove': ({ path }) => path,
  'file.rename': ({ from, to }) => `${from} -> ${to}`,
  'workspace.push': ({ source }) => source,
  'workspace.reset': nothingMore,
  'patch.apply': (_input, { files, applied }) =>
    applied ? files.map(({ path }) => path).join(' ') : undefined,
  'service.start': ({ name, argv }) => `${name}: ${commandLine(argv)}`,
  'service.stop': ({ name }) => name,
  'shell.open': (_input, { shell }) => `shell ${shell.shell}`,
  'shell.write': ({ shell, input }) => `shell ${shell}: ${input}`,
  'shell.close': ({ shell }) => `shell ${shell}`,
};

/** The operations carried out here. */
export function createLocalService(runtime: Runtime): Service {
  return journalled(createPlainService(runtime), runtime);
}

function journalled(service: Service, { journal }: Pick<Runtime, 'journal'>): Service {
  return {
    async call(name, input, options) {
      const startedAt = performance.now();
      const output = await service.call(name, input, options);
      const describe = DESCRIBED[name] as Describe<typeof name> | undefined;
      const { sandbox } = input as { readonly sandbox?: string };
      if (sandbox === undefined) return output;
      const text = describe?.(input, output);
      if (text !== undefined) await journal.record(sandbox, { operation: name, text });
      if (name === 'exec.run') {
        const { argv } = input as OperationInput<'exec.run'>;
        const { exitCode } = output as OperationOutput<'exec.run'>;
        const durationMs = Math.round(performance.now() - startedAt);
        await journal.record(sandbox, { operation: name, text: commandLine(argv), exitCode, durationMs });
      }
      return output;
    },
    async process(name, input, options) {
      const startedAt = performance.now();
      const guest = await service.process(name, input, options);
      if (!('argv' in input)) return guest;
      const { sandbox, argv, detached } = input;
      const event = { operation: name, text: commandLine(argv) };
      if (detached !== undefined) {
        await journal.record(sandbox, event);
        return guest;
      }
      const recorded = guest.exited.then(
        async ({ exitCode }) =>
          await journal.record(sandbox, {
            ...event,
            exitCode,
            durationMs: Math.round(performance.now() - startedAt),
          }),
        async () => await journal.record(sandbox, event),
      );
      return withExit(guest, recorded);
    },
    download: async (name, input, options) => await service.download(name, input, options),
    async upload(name, input, content, options) {
      const output = await service.upload(name, input, content, options);
      await journal.record(input.sandbox, { operation: name, text: input.path });
      return output;
    },
  };
}

/** The same process, whose end is told once it is written down. */
function withExit(guest: GuestProcess, recorded: Promise<void>): GuestProcess {
  const exited = recorded.then(() => guest.exited);
  exited.catch(() => {});
  return {
    stdin: guest.stdin,
    stdout: guest.stdout,
    stderr: guest.stderr,
    started: guest.started,
    exited,
    kill: (signal, target) => guest.kill(signal, target),
    resize: (size) => guest.resize(size),
    abandon: (reason) => guest.abandon(reason),
  };
}

/** Words as a POSIX shell would take them. */
export function commandLine(argv: readonly string[]): string {
  return argv
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`))
    .join(' ');
}
