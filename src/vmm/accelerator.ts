/**
 * Which accelerator a VM runs with. That /dev/kvm opens, or a flag in /proc/cpuinfo, proves nothing: there are
 * hosts on which KVM makes a VM and no guest ever runs in it. So `auto` boots the very kernel once, without a
 * disk, and takes KVM when that kernel comes to its end by itself. The answer is remembered for as long as the
 * host runs, the kernel and QEMU stay what they are.
 */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdir, readFile, stat } from 'node:fs/promises';
import { release } from 'node:os';
import { dirname } from 'node:path';
import { errnoOf, HearthError } from '../errors/index.js';
import { writeFileAtomic } from '../fsx/index.js';
import type { Accelerator } from './driver.js';
import { findExecutable } from './executable.js';
import { DEFAULT_QEMU_BINARY } from './qemu/driver.js';
import { type KvmProbe, probeKvm } from './qemu/kvm-probe.js';

export type AcceleratorWish = 'auto' | 'kvm' | 'tcg';

export interface AcceleratorDecision {
  readonly accelerator: Accelerator;
  /** Why, in a few words that finish the sentence "… is used: ". */
  readonly reason: string;
}

export interface AcceleratorOptions {
  /** The vmlinux that VMs will boot; the answer holds for this one only. */
  readonly kernelPath: string;
  /** File that remembers answers; made when missing, started anew when it cannot be understood. */
  readonly cachePath: string;
  /** Name or path of QEMU. */
  readonly binary?: string;
  readonly signal?: AbortSignal;
  /** What to ask for access and progress, for tests. */
  readonly kvmDevice?: string;
}

const KVM_DEVICE = '/dev/kvm';
const MAX_CACHE_BYTES = 64 * 1024;
const MAX_ANSWERS = 64;

/**
 * Decides. `tcg` asks nothing. `kvm` ignores a remembered refusal and probes again, for the user may have
 * mended it.
 *
 * @throws {HearthError} `KVM_UNAVAILABLE` for `kvm` on a host that cannot; `VMM_NOT_FOUND`.
 */
export async function resolveAccelerator(
  wish: AcceleratorWish,
  options: AcceleratorOptions,
): Promise<AcceleratorDecision> {
  if (wish === 'tcg') return { accelerator: 'tcg', reason: 'it was asked for' };
  const probe = await askKvm(wish === 'kvm', options);
  if (probe.usable) return { accelerator: 'kvm', reason: probe.reason };
  if (wish === 'auto') return { accelerator: 'tcg', reason: probe.reason };
  throw new HearthError('KVM_UNAVAILABLE', `KVM cannot be used: ${probe.reason}`, {
    hint: probe.hint ?? 'Use `--accel auto` or `--accel tcg` to run by emulation.',
    details: { reason: probe.reason },
  });
}

async function askKvm(again: boolean, options: AcceleratorOptions): Promise<KvmProbe> {
  const denied = await deviceDenied(options.kvmDevice ?? KVM_DEVICE);
  if (denied !== undefined) return denied;
  const key = await factsKey(options);
  const answers = await readAnswers(options.cachePath);
  const remembered = answers.get(key);
  if (remembered !== undefined && (remembered.usable || !again)) return remembered;

  const probe = await probeKvm(options);
  answers.delete(key);
  answers.set(key, probe);
  const kept = Object.fromEntries([...answers].slice(-MAX_ANSWERS));
  try {
    await mkdir(dirname(options.cachePath), { recursive: true, mode: 0o700 });
    await writeFileAtomic(options.cachePath, `${JSON.stringify({ answers: kept }, null, 2)}\n`);
  } catch {
    // A read-only home: the answer is right, the next run asks again.
  }
  return probe;
}

async function deviceDenied(device: string): Promise<KvmProbe | undefined> {
  try {
    await access(device, constants.R_OK | constants.W_OK);
    return undefined;
  } catch (error) {
    return errnoOf(error) === 'ENOENT'
      ? {
          usable: false,
          reason: `this machine has no ${device}`,
          hint: 'Turn on virtualisation in the firmware and load the module kvm_intel or kvm_amd, or use `--accel tcg`.',
        }
      : {
          usable: false,
          reason: `no permission for ${device}`,
          hint: 'Run `sudo usermod -aG kvm $USER` and log in again, or use `--accel tcg`.',
        };
  }
}

/** Everything an answer depends on: the running host, QEMU and the kernel, the files by size and time. */
async function factsKey({ kernelPath, binary }: AcceleratorOptions): Promise<string> {
  const bootId = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '');
  const qemu = await findExecutable(binary ?? DEFAULT_QEMU_BINARY, process.env.PATH);
  const identify = async (path: string): Promise<readonly unknown[]> => {
    const found = await stat(path).catch(() => undefined);
    return [path, found?.size, found?.mtimeMs];
  };
  const facts = [bootId.trim(), release(), await identify(qemu ?? ''), await identify(kernelPath)];
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex');
}

async function readAnswers(path: string): Promise<Map<string, KvmProbe>> {
  const answers = new Map<string, KvmProbe>();
  try {
    const text = await readFile(path, 'utf8');
    const parsed: unknown = text.length > MAX_CACHE_BYTES ? {} : JSON.parse(text);
    for (const [key, value] of Object.entries(objectAt(objectAt({ parsed }, 'parsed'), 'answers'))) {
      const { usable, reason } = objectAt({ value }, 'value');
      if (typeof usable === 'boolean' && typeof reason === 'string') answers.set(key, { usable, reason });
    }
  } catch {
    // Missing or not ours: asking again is cheap and always right.
  }
  return answers;
}

function objectAt(parent: Record<string, unknown>, key: string): Record<string, unknown> {
  const value = parent[key];
  return typeof value === 'object' && value !== null ? { ...value } : {};
}
