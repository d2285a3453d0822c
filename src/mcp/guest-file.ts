/** Files of a guest for the tools: where a path leads, and texts that go in beside results that hold only a part. */
import { posix } from 'node:path';
import { Readable } from 'node:stream';
import type { SandboxShown } from './sandbox-access.js';
import type { ToolCall } from './tool.js';

const DIRECTORY = '/tmp/hearth';
const MODE = 0o600;

/** Relative paths begin where commands do. */
export const guestPath = ({ defaults }: SandboxShown, path: string): string =>
  posix.resolve('/', defaults.workdir, path);

/** Puts a text into a file of the tools' own directory; null when the guest has no room for it. */
export async function keepInGuest(
  sandbox: string,
  name: string,
  text: string,
  { service, signal }: ToolCall,
): Promise<string | null> {
  const path = `${DIRECTORY}/${name}`;
  const input = { sandbox, path, mode: MODE, parents: true };
  try {
    await service.upload('file.write', input, Readable.from([Buffer.from(text)]), { signal });
    return path;
  } catch {
    signal.throwIfAborted();
    return null;
  }
}
