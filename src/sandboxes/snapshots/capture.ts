/** A running sandbox at one moment: memory, processors, devices and disk. */
import { chmod, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cloneDisk } from '../../disks/index.js';
import { HearthError } from '../../errors/index.js';
import { createQemuDriver, separateMemory } from '../../vmm/index.js';
import { sandboxVmSpec } from '../boot-sandbox.js';
import type { SandboxRecord } from '../sandbox-record.js';
import type { SandboxVm } from '../sandbox-vm.js';

export const MEMORY_FILE = 'memory';
export const STATE_FILE = 'state';
export const DISK_FILE = 'disk';
const WHOLE_STATE_FILE = 'whole-state';
const WORKING_DIRECTORY = 'vm';

interface Given {
  readonly signal?: AbortSignal;
}

/** Copies the disk of a sandbox whose VM stands still, or is not there. */
export async function captureDisk(
  record: SandboxRecord,
  sandboxDirectory: string,
  directory: string,
  given: Given,
): Promise<void> {
  await cloneDisk(join(sandboxDirectory, record.disk.fileName), join(directory, DISK_FILE), {
    templateFormat: record.disk.format,
    rungs: ['reflink', 'sparse-copy'],
    durable: false,
    ...given,
  });
}

/**
 * Puts the VM's state and its disk into `directory`, of one moment, and lets it go on. Its commands stand still in
 * what is saved, so that no copy does anything before it has been made one of its own.
 *
 * @throws {HearthError} `SANDBOX_STATE_CONFLICT` when it holds secrets; those of the VMM and the agent.
 * @returns For how many ms the commands stood still.
 */
export async function captureVm(
  vm: SandboxVm,
  record: SandboxRecord,
  sandboxDirectory: string,
  directory: string,
  given: Given,
): Promise<number> {
  assertNoSecrets(record);
  // Its channel has to be open when it is saved: the guest must not have been told of its end.
  const agent = await vm.agent(given);
  // So that the disk alone is of use as well.
  await agent.sync(given);
  const startedAt = performance.now();
  await agent.allProcesses('stand still', given);
  try {
    try {
      await vm.vm.save(join(directory, WHOLE_STATE_FILE), given);
      await captureDisk(record, sandboxDirectory, directory, given);
    } finally {
      await vm.vm.resume();
    }
  } finally {
    await agent.allProcesses('go on');
  }
  const pauseMs = Math.round(performance.now() - startedAt);
  await agent.setClock(given);
  return pauseMs;
}

/** What a guest was given is in its memory, and would be in every copy of it, and on the disk. */
function assertNoSecrets({ id, name, secrets }: SandboxRecord): void {
  if (secrets.length === 0) return;
  throw new HearthError('SANDBOX_STATE_CONFLICT', `the memory of ${name} holds secrets, and is not saved`, {
    hint: `Stop it first, so that only its disk is saved: hearth stop ${name}`,
    details: { id, name, secrets: secrets.map((secret) => secret.name) },
  });
}

/** Makes of what `captureVm` left a memory that many VMs can share, and a state without it. */
export async function shareMemory(record: SandboxRecord, directory: string, given: Given): Promise<void> {
  const working = join(directory, WORKING_DIRECTORY);
  const wholeState = join(directory, WHOLE_STATE_FILE);
  await mkdir(working, { mode: 0o700 });
  // A VM that never runs writes nothing; an overlay makes sure of it.
  const overlay = await cloneDisk(join(directory, DISK_FILE), join(working, DISK_FILE), {
    templateFormat: record.disk.format,
    rungs: ['overlay'],
    durable: false,
    ...given,
  });
  await separateMemory(
    createQemuDriver(),
    {
      ...sandboxVmSpec(record, working),
      disks: [{ path: overlay.path, format: overlay.format, readOnly: false, disposable: true }],
      resumeFrom: { statePath: wholeState },
    },
    { statePath: join(directory, STATE_FILE), memoryPath: join(directory, MEMORY_FILE) },
    given,
  );
  // QEMU makes it readable for others; it holds all that the guest knew.
  await chmod(join(directory, MEMORY_FILE), 0o600);
  await rm(wholeState, { force: true });
  await rm(working, { recursive: true, force: true });
}
