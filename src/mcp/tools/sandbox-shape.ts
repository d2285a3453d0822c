/** What the tools tell of a sandbox. */
import { z } from 'zod';
import type { SandboxShown } from '../sandbox-access.js';

const port = z.number().int().nonnegative();

export const sandboxShape = z.object({
  name: z.string(),
  state: z.string(),
  image: z.string(),
  createdAt: z.string(),
  startedAt: z.string().nullable(),
  cpus: z.number(),
  memoryMib: z.number(),
  workdir: z.string().describe('Where commands begin'),
  ports: z
    .array(z.object({ guestPort: port, url: z.string().nullable() }))
    .describe('Where a port is reached on the host while the sandbox runs'),
});

export function shownSandbox(sandbox: SandboxShown): z.output<typeof sandboxShape> {
  const { name, state, environment, createdAt, startedAt, cpus, memoryMib, defaults, ports } = sandbox;
  return {
    name,
    state,
    image: environment,
    createdAt,
    startedAt,
    cpus,
    memoryMib,
    workdir: defaults.workdir,
    ports: ports.map(({ address, guestPort, published }) => ({
      guestPort,
      url: published === null ? null : `tcp://${address}:${published}`,
    })),
  };
}

export function sandboxLine({ name, state, image, ports }: z.output<typeof sandboxShape>): string {
  const published = ports.flatMap(({ guestPort, url }) => (url === null ? [] : [`${guestPort} at ${url}`]));
  return [name, state, image, ...published].join('  ');
}
