/** Does a guest run under KVM on this host? Boots a kernel without disk and initrd and watches it come to its end. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HearthError } from '../../errors/index.js';
import { createQemuDriver } from './driver.js';

export interface KvmProbe {
  readonly usable: boolean;
  readonly reason: string;
  /** What a user can do about it, where there is something. */
  readonly hint?: string;
}

export interface KvmProbeOptions {
  readonly kernelPath: string;
  readonly binary?: string;
  readonly signal?: AbortSignal;
}

/** A guest that runs prints its first line after a few hundredths of a second. */
const FIRST_LINE_MS = 1500;
/** From there to the end, on a slow or crowded host. */
const END_MS = 8000;
const POLL_MS = 20;
const PROBE_MEMORY_MIB = 128;
/** The kernel's words when it finds nothing to run; it has come through its whole start then. */
const END_OF_BOOT = 'Kernel panic - not syncing';
const TAIL_BYTES = 8192;

/**
 * @returns Never throws for a KVM that does not work: the reason says how it failed.
 * @throws {HearthError} `VMM_NOT_FOUND`, `FILE_NOT_FOUND` and the like, which are not about KVM; `signal.reason`.
 */
export async function probeKvm(options: KvmProbeOptions): Promise<KvmProbe> {
  const directory = await mkdtemp(join(tmpdir(), 'hearth-kvm-'));
  try {
    return await bootUnderKvm(directory, options);
  } catch (error) {
    if (!HearthError.is(error)) throw error;
    if (error.code !== 'KVM_UNAVAILABLE' && error.code !== 'VM_EXITED') throw error;
    const said = String(error.details.reason ?? error.details.stderr ?? '').split('\n', 1)[0] ?? '';
    return { usable: false, reason: `QEMU ends at once under KVM (${said.slice(0, 200)})` };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function bootUnderKvm(directory: string, options: KvmProbeOptions): Promise<KvmProbe> {
  const { kernelPath, binary, signal } = options;
  const driver = createQemuDriver(binary === undefined ? {} : { binary });
  await using vm = await driver.start(
    {
      directory,
      kernelPath,
      // `ignore_loglevel` undoes `quiet`; the early console speaks before any driver is up.
      kernelArgs: ['ignore_loglevel', 'earlyprintk=ttyS0,115200', 'nosmp'],
      cpus: 1,
      memoryMib: PROBE_MEMORY_MIB,
      disks: [],
      accelerator: 'kvm',
    },
    signal === undefined ? {} : { signal },
  );
  // The guest's time, not that of a QEMU which takes long to start on a crowded host.
  const startedAt = performance.now();
  let gone = false;
  const exited = vm.exited.then(() => {
    gone = true;
  });
  for (;;) {
    signal?.throwIfAborted();
    const elapsedMs = performance.now() - startedAt;
    const said = await vm.consoleTail(TAIL_BYTES);
    if (said.includes(END_OF_BOOT)) {
      return { usable: true, reason: `a guest ran under KVM within ${Math.round(elapsedMs)} ms` };
    }
    if (gone) {
      const { stderr, exitCode } = await vm.exited;
      const why = stderr.trim().split('\n', 1)[0] || `exit code ${exitCode}`;
      return { usable: false, reason: `a guest under KVM ends at once (${why.slice(0, 200)})` };
    }
    if (elapsedMs > (said === '' ? FIRST_LINE_MS : END_MS)) {
      const seconds = (elapsedMs / 1000).toFixed(1);
      return { usable: false, reason: `KVM opens, but a guest made no progress within ${seconds} s` };
    }
    await Promise.race([exited, new Promise((resolve) => setTimeout(resolve, POLL_MS))]);
  }
}
