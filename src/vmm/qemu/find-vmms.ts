/** The VMMs of this user that are there, whoever started them. */
import { readdir } from 'node:fs/promises';
import { adoptProcess, signalProcess } from '../detached-process.js';
import { type ProcessIdentity, readProcessIdentity, vmmDirectory } from '../process-identity.js';
import { within } from './within.js';

const KILL_TIMEOUT_MS = 5000;

/** Every QEMU of this user whose working directory is below `parent`, written down or not. */
export async function findVmms(
  parent: string,
): Promise<Array<{ readonly identity: ProcessIdentity; readonly directory: string }>> {
  const names = await readdir('/proc');
  const found = await Promise.all(
    names
      .filter((name) => /^\d+$/.test(name))
      .map(async (name) => {
        const pid = Number(name);
        const directory = await vmmDirectory(pid);
        if (directory === undefined || !directory.startsWith(`${parent}/`)) return undefined;
        const identity = await readProcessIdentity(pid);
        return identity === undefined ? undefined : { identity, directory };
      }),
  );
  return found.filter((vmm) => vmm !== undefined);
}

/** SIGKILL for exactly this VMM, waited for at most 5 s. */
export async function killVmm(identity: ProcessIdentity, directory: string): Promise<void> {
  const vmm = await adoptProcess(identity, directory);
  if (vmm === undefined) return;
  await signalProcess(identity, 'SIGKILL');
  await within(KILL_TIMEOUT_MS, vmm.exited);
  vmm.release();
}
