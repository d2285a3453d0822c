/** The tools that make, list, stop and remove sandboxes. */
import { z } from 'zod';
import { MIB } from '../../bytes/index.js';
import { projectSeed } from '../project-source.js';
import { assertRoom, CLIENT, CLIENT_LABEL, findSandbox, isOurs, startSandbox } from '../sandbox-access.js';
import { CHANGES_SANDBOX, DESTROYS, defineTool, READ_ONLY } from '../tool.js';
import * as fields from './fields.js';
import { sandboxLine, sandboxShape, shownSandbox } from './sandbox-shape.js';

const MAX_LISTED = 100;
const MAX_PORTS = 16;

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
    project: z
      .boolean()
      .optional()
      .describe('Begin with the project in /workspace; default true. false: with an empty one'),
    ports: z
      .array(z.number().int().min(1).max(65_535))
      .max(MAX_PORTS)
      .optional()
      .describe('TCP ports of the sandbox to reach from 127.0.0.1 of the host'),
  }),
  hidden: (view) => [
    ...fields.hiddenImageField(view),
    ...fields.hiddenMachineFields(view),
    ...(view.pins.project === undefined ? (['project'] as const) : []),
    ...(view.pins.allowPorts ? [] : (['ports'] as const)),
    ...(view.mode === 'inspect' ? (['env'] as const) : []),
  ],
  narrowed: (view) => {
    const { image } = fields.narrowedFields(view);
    return image === undefined ? {} : { image };
  },
  output: z.object({ sandbox: sandboxShape }),
  async run(input, call) {
    const { view, backend, service, signal, progress } = call;
    const { pins } = view;
    await assertRoom(call, 1);
    const store = await backend.environments();
    const environment = await store.ensureInstalled(input.image ?? pins.images[0], {
      signal,
      onProgress: ({ phase, environment: name, doneBytes, totalBytes }) =>
        progress({ message: `${phase} ${name}`, doneBytes, totalBytes }),
    });
    const cpus = pins.cpus ?? input.cpus;
    const memoryMib = pins.memoryMib ?? input.memoryMib;
    const diskBytes = pins.diskBytes ?? (input.diskMib === undefined ? undefined : input.diskMib * MIB);
    await using seed =
      pins.project === undefined || input.project === false
        ? undefined
        : await projectSeed(pins.project, call);
    const { sandbox } = await service.call(
      'sandbox.create',
      {
        image: environment.name,
        labels: { [CLIENT_LABEL]: CLIENT },
        idleTimeoutMs: pins.idleTimeoutMs,
        ...pins.network,
        workspace: seed === undefined ? {} : { seedPath: seed.path },
        ...(input.ports === undefined ? {} : { ports: input.ports.map(String) }),
        ...(input.name === undefined ? {} : { name: input.name }),
        ...(input.env === undefined ? {} : { env: input.env }),
        ...(cpus === undefined ? {} : { cpus }),
        ...(memoryMib === undefined ? {} : { memoryMib }),
        ...(diskBytes === undefined ? {} : { diskBytes }),
      },
      { signal },
    );
    try {
      const started = shownSandbox(await startSandbox(sandbox.id, call));
      return {
        structured: { sandbox: started },
        text: `${sandboxLine(started)}\nUse it by its name: ${started.name}`,
      };
    } catch (error) {
      // A sandbox that nobody was told of would stay for ever.
      await service.call('sandbox.remove', { sandbox: sandbox.id, force: true }).catch(() => {});
      throw error;
    }
  },
});

export const sandboxList = defineTool({
  name: 'sandbox_list',
  title: 'List the sandboxes',
  description: 'Lists the sandboxes there are, with name, state and image.',
  annotations: READ_ONLY,
  input: z.strictObject({}),
  output: z.object({ sandboxes: z.array(sandboxShape), total: z.number(), truncated: z.boolean() }),
  async run(_input, call) {
    const { sandboxes } = await call.service.call('sandbox.list', {}, { signal: call.signal });
    const ours = sandboxes.filter((sandbox) => isOurs(sandbox, call));
    const listed = ours.slice(-MAX_LISTED).map(shownSandbox);
    const structured = { sandboxes: listed, total: ours.length, truncated: listed.length < ours.length };
    const text =
      listed.length === 0
        ? 'There is no sandbox. Make one with sandbox_create.'
        : listed.map(sandboxLine).join('\n');
    return { structured, text };
  },
});

export const sandboxStop = defineTool({
  name: 'sandbox_stop',
  title: 'Stop a sandbox',
  description: 'Shuts a sandbox down. Its files stay; sandbox_exec starts it again.',
  annotations: { ...CHANGES_SANDBOX, idempotentHint: true },
  input: z.strictObject({ sandbox: fields.sandbox }),
  output: z.object({ sandbox: sandboxShape }),
  async run(input, call) {
    const { id } = await findSandbox(input.sandbox, call);
    const { sandbox } = await call.service.call('sandbox.stop', { sandbox: id }, { signal: call.signal });
    const stopped = shownSandbox(sandbox);
    return { structured: { sandbox: stopped }, text: sandboxLine(stopped) };
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
