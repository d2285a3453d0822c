/**
 * Keeps the file behind a private mapping of guest memory as it is. QEMU, told by the guest that pages are free, punches
 * holes into the file behind them, for a private mapping too (`ram_block_discard_range`), and every other VM of that
 * boot snapshot would lose its memory. A library in QEMU's process leaves the file alone, so that only what the VM
 * itself has written is given back: host/discard.c.
 */
import { access, readFile, rm, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fileError, HearthError } from '../../errors/index.js';
import type { VmSpec } from '../driver.js';

const FILE_NAME = 'hearth-discard.so';
const HEX_DIGITS = 16;

/** Built with hearth; three folders up from `src/` and from `dist/`. */
const LIBRARY = fileURLToPath(new URL(`../../../build/host/${FILE_NAME}`, import.meta.url));

/**
 * The variables that a QEMU of this specification needs. Its working directory has to be `spec.directory`.
 *
 * @throws {HearthError} `TOOL_NOT_FOUND` without the library.
 */
export async function privateMemoryEnvironment({
  memory,
  directory,
}: VmSpec): Promise<Readonly<Record<string, string>>> {
  if (memory?.kind !== 'copy-on-write') return {};
  try {
    await access(LIBRARY);
  } catch (error) {
    throw new HearthError('TOOL_NOT_FOUND', `${FILE_NAME} of hearth itself has not been built`, {
      hint: 'Build hearth again: npm run setup',
      details: { path: LIBRARY },
      cause: error,
    });
  }
  const link = join(directory, FILE_NAME);
  try {
    const { dev, ino } = await stat(memory.path, { bigint: true });
    // A link, because the list of libraries cannot hold a path with spaces or colons.
    await rm(link, { force: true });
    await symlink(LIBRARY, link);
    return { LD_PRELOAD: `./${FILE_NAME}`, HEARTH_SHARED_MEMORY: `${hex(dev)}:${hex(ino)}` };
  } catch (error) {
    throw fileError(error, memory.path);
  }
}

const hex = (value: bigint): string => value.toString(16).padStart(HEX_DIGITS, '0');

/**
 * To be called before the guest goes on.
 *
 * @throws {HearthError} `VMM_REQUEST_FAILED` when a QEMU that needs the library runs without it.
 */
export async function assertPrivateMemory({ memory }: VmSpec, pid: number): Promise<void> {
  if (memory?.kind !== 'copy-on-write') return;
  const maps = await readFile(`/proc/${pid}/maps`, 'utf8').catch(() => '');
  if (maps.includes(`/${FILE_NAME}`)) return;
  throw new HearthError('VMM_REQUEST_FAILED', `QEMU has not loaded ${FILE_NAME}`, {
    details: { path: LIBRARY, pid },
  });
}
