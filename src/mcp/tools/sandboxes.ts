/** The tools that make, list, stop and remove sandboxes. */
import { z } from 'zod';
import { MIB } from '../../bytes/index.js';
import { HearthError } from '../../errors/index.js';
import {
  CLIENT,
  CLIENT_LABEL,
  findSandbox,
  isOurs,
  type SandboxShown,
  startSandbox,
} from '../sandbox-access.js';
import { CHANGES_SANDBOX, DESTROYS, defineTool, READ_ONLY, type ToolCall } from '../tool.js';
import * as fields from './fields.js';

const MAX_LISTED = 100;

const shape = z.object({
  name: z.string(),
  state: z.string(),
  image: z.string(),
  createdAt: z.string(),
  startedAt: z.string().nullable(),
  cpus: z.number(),
  memoryMib: z.number(),
  workdir: z.string(),
});

function shown(sandbox: SandboxShown): z.output<typeof shape> {
  const { name, state, environment, createdAt, startedAt, cpus, memoryMib, defaults } = sandbox;
  return {
    name,
    state,
    image: environment,
    createdAt,
    startedAt,
    cpus,
    memoryMib,
    workdir: defaults.workdir,
  };
}

const line = ({ name, state, image }: z.output<typeof shape>): string => `${name}  ${state}  ${image}`;

export const sandboxCreate = defineTool({
  name: 'sandbox_create',
  title: 'Make a sandbox',
  description:
    'Makes a sandbox, a microVM that is kept, from an environment or container image, and starts it. Use it when ' +
    'files must stay from one command to the next. Call sandbox_remove when it is done with.',
  annotations: CHANGES_SANDBOX,
  input: z.strictObject({
    image: fields.image.optional(),
    name: z
      .string()
      .min(1)
      .max(63)
      .optional()
      .describe('Name to call it by: lower-case letters, digits, - and _; default: made from the image'),
    env: fields.env.optional(),
    cpus: fields.cpus.optional(),
    memoryMib: fields.memoryMib.optional(),
    diskMib: fields.diskMib.optional(),
  }),
  hidden: (view) => [
    ...fields.hiddenImageField(view),
    ...fields.hiddenMachineFields(view),
    ...(view.mode === 'inspect' ? (['env'] as const) : []),
  ],
  narrowed: (view) => {
    const { image } = fields.narrowedFields(view);
    return image === undefined ? {} : { image };
  },
  output: z.object({ sandbox: shape }),
  async run(input, call) {
    const { view, backend, service, signal, progress } = call;
    const { pins } = view;
    await assertRoom(call);
    const store = await backend.environments();
    const environment = await store.ensureInstalled(input.image ?? pins.images[0], {
      signal,
      onProgress: ({ phase, environment: name, doneBytes, totalBytes }) =>
        progress({ message: `${phase} ${name}`, doneBytes, totalBytes }),
    });
    const cpus = pins.cpus ?? input.cpus;
    const memoryMib = pins.memoryMib ?? input.memoryMib;
    const diskBytes = pins.diskBytes ?? (input.diskMib === undefined ? undefined : input.diskMib * MIB);
    const { sandbox } = await service.call(
      'sandbox.create',
      {
        image: environment.name,
        labels: { [CLIENT_LABEL]: CLIENT },
        idleTimeoutMs: pins.idleTimeoutMs,
        ...(input.name === undefined ? {} : { name: input.name }),
        ...(input.env === undefined ? {} : { env: input.env }),
        ...(cpus === undefined ? {} : { cpus }),
        ...(memoryMib === undefined ? {} : { memoryMib }),
        ...(diskBytes === undefined ? {} : { diskBytes }),
      },
      { signal },
    );
    try {
      const started = shown(await startSandbox(sandbox.id, call));
      return {
        structured: { sandbox: started },
        text: `${line(started)}\nUse it by its name: ${started.name}`,
      };
    } catch (error) {
      // A sandbox that nobody was told of would stay for ever.
      await service.call('sandbox.remove', { sandbox: sandbox.id, force: true }).catch(() => {});
      throw error;
    }
  },
});

async function assertRoom(call: ToolCall): Promise<void> {
  const { maxSandboxes } = call.view.pins;
  const { sandboxes } = await call.service.call('sandbox.list', {}, { signal: call.signal });
  const names = sandboxes.filter(({ labels }) => labels[CLIENT_LABEL] === CLIENT).map(({ name }) => name);
  if (names.length < maxSandboxes) return;
  throw new HearthError(
    'SANDBOXES_TOO_MANY',
    `there are ${names.length} sandboxes, at most ${maxSandboxes} are allowed`,
    {
      hint: `Remove one with sandbox_remove: ${names.slice(0, 10).join(', ')}`,
      details: { count: names.length, most: maxSandboxes },
    },
  );
}

export const sandboxList = defineTool({
  name: 'sandbox_list',
  title: 'List the sandboxes',
  description: 'Lists the sandboxes there are, with name, state and image.',
  annotations: READ_ONLY,
  input: z.strictObject({}),
  output: z.object({ sandboxes: z.array(shape), total: z.number(), truncated: z.boolean() }),
  async run(_input, call) {
    const { sandboxes } = await call.service.call('sandbox.list', {}, { signal: call.signal });
    const ours = sandboxes.filter((sandbox) => isOurs(sandbox, call));
    const listed = ours.slice(-MAX_LISTED).map(shown);
    const structured = { sandboxes: listed, total: ours.length, truncated: listed.length < ours.length };
    const text =
      listed.length === 0
        ? 'There is no sandbox. Make one with sandbox_create.'
        : listed.map(line).join('\n');
    return { structured, text };
  },
});

export const sandboxStop = defineTool({
  name: 'sandbox_stop',
  title: 'Stop a sandbox',
  description: 'Shuts a sandbox down. Its files stay; sandbox_exec starts it again.',
  annotations: { ...CHANGES_SANDBOX, idempotentHint: true },
  input: z.strictObject({ sandbox: fields.sandbox }),
  output: z.object({ sandbox: shape }),
  async run(input, call) {
    const { id } = await findSandbox(input.sandbox, call);
    const { sandbox } = await call.service.call('sandbox.stop', { sandbox: id }, { signal: call.signal });
    const stopped = shown(sandbox);
    return { structured: { sandbox: stopped }, text: line(stopped) };
  },
});

export const sandboxRemove = defineTool({
  name: 'sandbox_remove',
  title: 'Remove a sandbox',
  description: 'Removes a sandbox and everything in it, running or not. This cannot be undone.',
  annotations: DESTROYS,
  input: z.strictObject({ sandbox: fields.sandbox }),
  output: z.object({ removed: z.string() }),
  async run(input, call) {
    const { id } = await findSandbox(input.sandbox, call);
    const { name } = await call.service.call(
      'sandbox.remove',
      { sandbox: id, force: true },
      { signal: call.signal },
    );
    return { structured: { removed: name }, text: `removed ${name}` };
  },
});
