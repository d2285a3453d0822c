/** Carries out the operations on services and shells. */
import type { Background, ServiceInfo, ShellInfo } from '../sandboxes/index.js';
import type { BACKGROUND_OPERATIONS } from './background-operations.js';
import type { HandlersOf } from './handlers.js';

const DEFAULT_LOG_BYTES = 256 * 1024;
const DEFAULT_READ_BYTES = 64 * 1024;
const DEFAULT_IDLE_WAIT_MS = 10_000;

export const serviceJson = ({ argv, ports, ...rest }: ServiceInfo) => ({
  ...rest,
  argv: [...argv],
  ports: ports.map((port) => ({ ...port })),
});
const shellJson = ({ argv, ...rest }: ShellInfo) => ({ ...rest, argv: [...argv] });

export function backgroundHandlers({
  services,
  shells,
}: Background): HandlersOf<typeof BACKGROUND_OPERATIONS> {
  return {
    'service.start': async ({ sandbox, ...spec }, { signal }) => ({
      service: serviceJson(await services.start(sandbox, spec, { signal })),
    }),
    'service.list': async ({ sandbox }) => ({ services: (await services.list(sandbox)).map(serviceJson) }),
    'service.status': async ({ sandbox, name }) => ({
      service: serviceJson(await services.status(sandbox, name)),
    }),
    'service.logs': async ({ sandbox, name, maxBytes = DEFAULT_LOG_BYTES, ...options }) => ({
      ...(await services.logs(sandbox, name, { maxBytes, ...options })),
    }),
    'service.stop': async ({ sandbox, name, graceMs }) => ({
      service: serviceJson(await services.stop(sandbox, name, graceMs)),
    }),
    'shell.open': async ({ sandbox, ...spec }, { signal }) => ({
      shell: shellJson(await shells.open(sandbox, spec, { signal })),
    }),
    'shell.list': async ({ sandbox }) => ({ shells: (await shells.list(sandbox)).map(shellJson) }),
    'shell.read': async ({ sandbox, shell, cursor, ...wishes }, { signal }) => {
      const { maxBytes = DEFAULT_READ_BYTES, plain = true, waitForIdleMs = 0 } = wishes;
      const timeoutMs = wishes.timeoutMs ?? Math.max(DEFAULT_IDLE_WAIT_MS, waitForIdleMs);
      const how = { cursor, maxBytes, plain, waitForIdleMs, timeoutMs, signal };
      return { ...(await shells.read(sandbox, shell, how)) };
    },
    'shell.write': async ({ sandbox, shell, input, newline = true }) => {
      await shells.write(sandbox, shell, Buffer.from(newline ? `${input}\n` : input));
      return {};
    },
    'shell.signal': async ({ sandbox, shell, signal = 'INT' }) => {
      await shells.signal(sandbox, shell, signal);
      return {};
    },
    'shell.close': async ({ sandbox, shell }) => ({ shell: shellJson(await shells.close(sandbox, shell)) }),
  };
}
