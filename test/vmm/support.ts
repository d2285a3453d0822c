/** A scratch directory with stand-ins for QEMU. */
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { VmSpec } from '../../src/vmm/index.js';

const FAKE = join(import.meta.dirname, 'fake-qemu.mjs');

export interface Scratch {
  readonly directory: string;
  /** A program that behaves as `fake-qemu.mjs` says. */
  fake(behaviour: string): Promise<string>;
  /** A program of this shell text. */
  script(name: string, text: string): Promise<string>;
  /** A specification with a fresh directory; its paths need not exist for a stand-in. */
  spec(changes?: Partial<VmSpec>): Promise<VmSpec>;
  remove(): Promise<void>;
}

export async function openScratch(): Promise<Scratch> {
  const directory = await mkdtemp(join(tmpdir(), 'hearth-vmm-'));
  let count = 0;
  const script = async (name: string, text: string): Promise<string> => {
    const path = join(directory, name);
    await writeFile(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    return path;
  };
  return {
    directory,
    script,
    fake: (behaviour) =>
      script(`qemu-${behaviour}`, `exec '${process.execPath}' '${FAKE}' ${behaviour} "$@"`),
    spec: async (changes = {}) => {
      count += 1;
      const vmDirectory = join(directory, `vm${count}`);
      await mkdir(vmDirectory, { mode: 0o700 });
      return {
        directory: vmDirectory,
        kernelPath: '/nonexistent/vmlinux',
        kernelArgs: [],
        cpus: 1,
        memoryMib: 128,
        disks: [],
        accelerator: 'tcg',
        ...changes,
      };
    },
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

/** Whether a process runs; a zombie that nobody has waited for does not. */
export function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
