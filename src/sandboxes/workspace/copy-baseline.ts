/** A copy of a sandbox is compared with what the sandbox began as. */
import { link, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError } from '../../errors/index.js';
import { BASELINE_DIRECTORY, DATA_FILE, MANIFEST_FILE } from './baseline-entry.js';

/** Shares the files of the baseline, which never change, with another sandbox. */
export async function copyBaseline(fromSandbox: string, toSandbox: string): Promise<void> {
  const from = join(fromSandbox, BASELINE_DIRECTORY);
  const to = join(toSandbox, BASELINE_DIRECTORY);
  try {
    await mkdir(to, { mode: 0o700 });
    for (const name of [MANIFEST_FILE, DATA_FILE]) await link(join(from, name), join(to, name));
  } catch (error) {
    throw fileError(error, to);
  }
}
