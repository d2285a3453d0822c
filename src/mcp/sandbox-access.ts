/** Which sandboxes the tools may touch, and bringing one to where a command can run in it. */
import type { OperationOutput } from '../contract/index.js';
import { HearthError } from '../errors/index.js';
import type { ToolCall } from './tool.js';

export type SandboxShown = OperationOutput<'sandbox.inspect'>['sandbox'];

/** Marks the sandboxes that are the tools' own. */
export const CLIENT_LABEL = 'hearth.client';
export const CLIENT = 'mcp';

export const isOurs = ({ labels }: SandboxShown, { view }: ToolCall): boolean =>
  view.pins.allSandboxes || labels[CLIENT_LABEL] === CLIENT;

/** @throws {HearthError} `SANDBOX_NOT_FOUND` also for one that is there and not the tools' to touch. */
export async function findSandbox(reference: string, call: ToolCall): Promise<SandboxShown> {
  const { sandbox } = await call.service.call(
    'sandbox.inspect',
    { sandbox: reference },
    { signal: call.signal },
  );
  if (isOurs(sandbox, call)) return sandbox;
  throw new HearthError(
    'SANDBOX_NOT_FOUND',
    `no sandbox ${JSON.stringify(reference)} was made by these tools`,
    {
      hint: 'Start the server with --all-sandboxes to let it see the others.',
      details: { sandbox: reference },
    },
  );
}

/** The sandbox, running: one that is stopped is started, a paused one goes on. */
export async function runningSandbox(reference: string, call: ToolCall): Promise<SandboxShown> {
  const found = await findSandbox(reference, call);
  const { service, signal } = call;
  const sandbox = found.id;
  if (found.state === 'running') return found;
  if (found.state === 'paused')
    return (await service.call('sandbox.resume', { sandbox }, { signal })).sandbox;
  return await startSandbox(sandbox, call);
}

export async function startSandbox(
  sandbox: string,
  { service, signal, progress }: ToolCall,
): Promise<SandboxShown> {
  const started = await service.call(
    'sandbox.start',
    { sandbox },
    { signal, onProgress: ({ phase, environment }) => progress({ message: `${phase} ${environment}` }) },
  );
  return started.sandbox;
}

/** @throws {HearthError} `SANDBOXES_TOO_MANY` when there is no room for so many more. */
export async function assertRoom(call: ToolCall, count: number): Promise<void> {
  const { maxSandboxes } = call.view.pins;
  const { sandboxes } = await call.service.call('sandbox.list', {}, { signal: call.signal });
  const names = sandboxes.filter(({ labels }) => labels[CLIENT_LABEL] === CLIENT).map(({ name }) => name);
  if (names.length + count <= maxSandboxes) return;
  throw new HearthError(
    'SANDBOXES_TOO_MANY',
    `there are ${names.length} sandboxes, at most ${maxSandboxes} are allowed`,
    {
      hint: `Remove one with sandbox_remove: ${names.slice(0, 10).join(', ')}`,
      details: { count: names.length, most: maxSandboxes },
    },
  );
}
