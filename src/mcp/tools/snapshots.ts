/** The tools that take a sandbox back, and copy it. */
import { z } from 'zod';
import { assertRoom, findSandbox } from '../sandbox-access.js';
import { CHANGES_SANDBOX, DESTROYS, defineTool, READ_ONLY, type ToolCall } from '../tool.js';
import * as fields from './fields.js';
import { sandboxLine, sandboxShape, shownSandbox } from './sandbox-shape.js';

const MAX_FORKS = 16;
const MAX_LISTED = 100;

const name = z.string().min(1).max(128).describe('Name of the snapshot');
const snapshotShape = z.object({
  name: z.string(),
  createdAt: z.string(),
  kind: z.string().describe('vm: with memory and what runs; disk: of a stopped sandbox'),
});

const pick = ({
  name: called,
  createdAt,
  kind,
}: z.output<typeof snapshotShape>): z.output<typeof snapshotShape> => ({
  name: called,
  createdAt,
  kind,
});

const phases = ({ signal, progress }: ToolCall) => ({
  signal,
  onProgress: ({ phase, environment }: { phase: string; environment: string }) =>
    progress({ message: `${phase} ${environment}` }),
});

export const snapshotCreate = defineTool({
  name: 'snapshot_create',
  title: 'Save a sandbox under a name',
  description:
    'Saves a sandbox as it is at this moment: disk, memory and what runs. snapshot_restore takes it back there, ' +
    'sandbox_fork makes copies.',
  annotations: CHANGES_SANDBOX,
  input: z.strictObject({ sandbox: fields.sandbox, name }),
  output: z.object({ snapshot: snapshotShape }),
  async run(input, call) {
    const { id } = await findSandbox(input.sandbox, call);
    const { snapshot } = await call.service.call(
      'snapshot.create',
      { sandbox: id, name: input.name },
      phases(call),
    );
    return { structured: { snapshot: pick(snapshot) }, text: `saved ${snapshot.name}` };
  },
});

export const snapshotList = defineTool({
  name: 'snapshot_list',
  title: 'List the snapshots of a sandbox',
  description: 'Lists the snapshots of a sandbox, oldest first.',
  annotations: READ_ONLY,
  input: z.strictObject({ sandbox: fields.sandbox }),
  output: z.object({ snapshots: z.array(snapshotShape), total: z.number(), truncated: z.boolean() }),
  async run(input, call) {
    const { id } = await findSandbox(input.sandbox, call);
    const { snapshots } = await call.service.call('snapshot.list', { sandbox: id }, { signal: call.signal });
    const listed = snapshots.slice(-MAX_LISTED).map(pick);
    const lines = listed.map((one) => `${one.name}  ${one.kind}  ${one.createdAt}`);
    return {
      structured: { snapshots: listed, total: snapshots.length, truncated: listed.length < snapshots.length },
      text: lines.length === 0 ? 'There is no snapshot.' : lines.join('\n'),
    };
  },
});

export const snapshotRestore = defineTool({
  name: 'snapshot_restore',
  title: 'Take a sandbox back to a snapshot',
  description: 'Takes a sandbox back to one of its snapshots. What happened in it since then is lost.',
  annotations: DESTROYS,
  input: z.strictObject({ sandbox: fields.sandbox, name }),
  output: z.object({ sandbox: sandboxShape }),
  async run(input, call) {
    const { id } = await findSandbox(input.sandbox, call);
    const asked = { sandbox: id, name: input.name };
    const { sandbox } = await call.service.call('sandbox.restore', asked, phases(call));
    const shown = shownSandbox(sandbox);
    return { structured: { sandbox: shown }, text: sandboxLine(shown) };
  },
});

export const snapshotRemove = defineTool({
  name: 'snapshot_remove',
  title: 'Remove a snapshot',
  description: 'Removes a snapshot of a sandbox. This cannot be undone.',
  annotations: DESTROYS,
  input: z.strictObject({ sandbox: fields.sandbox, name }),
  output: z.object({ removed: z.string() }),
  async run(input, call) {
    const { id } = await findSandbox(input.sandbox, call);
    const asked = { sandbox: id, name: input.name };
    const { snapshot } = await call.service.call('snapshot.remove', asked, { signal: call.signal });
    return { structured: { removed: snapshot.name }, text: `removed ${snapshot.name}` };
  },
});

export const sandboxFork = defineTool({
  name: 'sandbox_fork',
  title: 'Copy a sandbox',
  description:
    'Makes copies of a sandbox that go on from where it is, or from one of its snapshots: the same files and ' +
    'memory, each then on its own. Use it to try several ways.',
  annotations: CHANGES_SANDBOX,
  input: z.strictObject({
    sandbox: fields.sandbox,
    count: z.number().int().min(1).max(MAX_FORKS).optional().describe('How many; default 1'),
    name: z.string().min(1).max(63).optional().describe('Of the copy; of several, its beginning'),
    snapshot: name.optional().describe('Go on from this snapshot instead of from now'),
  }),
  output: z.object({ sandboxes: z.array(sandboxShape) }),
  async run(input, call) {
    const { id } = await findSandbox(input.sandbox, call);
    await assertRoom(call, input.count ?? 1);
    const { sandboxes } = await call.service.call(
      'sandbox.fork',
      {
        sandbox: id,
        count: input.count ?? 1,
        ...(input.name === undefined ? {} : { name: input.name }),
        ...(input.snapshot === undefined ? {} : { snapshot: input.snapshot }),
      },
      phases(call),
    );
    const shown = sandboxes.map(shownSandbox);
    return { structured: { sandboxes: shown }, text: shown.map(sandboxLine).join('\n') };
  },
});

export const sandboxReset = defineTool({
  name: 'sandbox_reset',
  title: 'Begin a sandbox anew',
  description:
    'Gives a sandbox back the disk that it began with; it keeps its name, and runs again when it ran. All that ' +
    'was done in it is lost.',
  annotations: DESTROYS,
  input: z.strictObject({ sandbox: fields.sandbox }),
  output: z.object({ sandbox: sandboxShape }),
  async run(input, call) {
    const { id } = await findSandbox(input.sandbox, call);
    const { sandbox } = await call.service.call('sandbox.reset', { sandbox: id }, phases(call));
    const shown = shownSandbox(sandbox);
    return { structured: { sandbox: shown }, text: sandboxLine(shown) };
  },
});
