/** Secrets as files of the guest, in its memory: gone with it, and never on its disk. */
import type { AgentClient, CallOptions } from '../../agent/index.js';
import { GUEST_SECRETS_DIRECTORY } from './secret.js';

/** Readable by every user of the guest: whoever a command runs as is who it was given for. */
const FILE_MODE = 0o444;

export async function giveSecrets(
  agent: AgentClient,
  values: ReadonlyMap<string, string>,
  options: CallOptions = {},
): Promise<void> {
  for (const [name, value] of values) {
    await agent.files.write(`${GUEST_SECRETS_DIRECTORY}/${name}`, Buffer.from(value), {
      ...options,
      parents: true,
      mode: FILE_MODE,
    });
  }
}
