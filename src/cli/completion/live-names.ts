/** The names there are now, for completion: read from disk, without a daemon, and never an error. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readFileBounded } from '../../fsx/index.js';
import type { CommandContext } from '../command.js';

export type NameKind = 'sandbox' | 'environment' | 'kernel';

const MAX_NAMES = 1000;
const MAX_RECORD_BYTES = 1024 * 1024;
/** No name of ours has other characters; whatever else stands in a file must not reach a shell. */
const SAFE = /^\w[\w.:/@+-]{0,255}$/;

export async function liveNames(kind: NameKind, context: CommandContext): Promise<string[]> {
  const names = await NAMES[kind](context).catch(() => []);
  return [...new Set(names)]
    .filter((name) => SAFE.test(name))
    .sort()
    .slice(0, MAX_NAMES);
}

const NAMES: Readonly<Record<NameKind, (context: CommandContext) => Promise<string[]>>> = {
  sandbox: async ({ paths }) => {
    const root = join(paths.state, 'sandboxes');
    const ids = (await readdir(root)).filter((name) => /^[0-9a-f]{12}$/.test(name)).slice(0, MAX_NAMES);
    return await Promise.all(ids.map((id) => sandboxName(join(root, id, 'sandbox.json'), id)));
  },
  environment: async (context) => {
    const { environments } = await import('../environments.js');
    return (await (await environments(context, true)).list()).map(({ name }) => name);
  },
  kernel: async ({ paths }) =>
    (await readdir(join(paths.data, 'kernels'), { withFileTypes: true })).flatMap((entry) =>
      entry.isDirectory() ? [entry.name] : [],
    ),
};

/** Its id, where its record cannot be read. */
async function sandboxName(path: string, id: string): Promise<string> {
  try {
    const record: unknown = JSON.parse((await readFileBounded(path, MAX_RECORD_BYTES)).toString('utf8'));
    const name = typeof record === 'object' && record !== null && 'name' in record ? record.name : id;
    return typeof name === 'string' ? name : id;
  } catch {
    return id;
  }
}
