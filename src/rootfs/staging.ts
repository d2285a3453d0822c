/** A new file beside its final name, which nobody takes for finished. */
import { randomBytes } from 'node:crypto';
import { open, readdir, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileError } from '../errors/index.js';

/** A new empty file beside the output, named after this process; those of dead processes are removed. */
export async function createStaging(outputPath: string): Promise<string> {
  const directory = dirname(outputPath);
  const prefix = `.${basename(outputPath)}.`;
  try {
    for (const name of await readdir(directory)) {
      const match = name.startsWith(prefix)
        ? /^(\d+)-[0-9a-f]{12}\.partial$/.exec(name.slice(prefix.length))
        : null;
      if (match !== null && !(await isAlive(match[1] ?? '')))
        await rm(join(directory, name), { force: true });
    }
    const staging = join(directory, `${prefix}${process.pid}-${randomBytes(6).toString('hex')}.partial`);
    const file = await open(staging, 'wx', 0o644);
    await file.close();
    return staging;
  } catch (error) {
    throw fileError(error, outputPath);
  }
}

async function isAlive(pid: string): Promise<boolean> {
  return (await stat(`/proc/${pid}`).catch(() => undefined)) !== undefined;
}
