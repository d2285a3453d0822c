/** The frequency of the host's time stamp counter, which an emulated guest counts with. */
import { open } from 'node:fs/promises';

/** The first CPU's entry, whatever the number of its flags. */
const READ_BYTES = 16 * 1024;
const MIN_KHZ = 400_000;
const MAX_KHZ = 20_000_000;

/**
 * In kHz, from a text as in /proc/cpuinfo: `bogomips` is twice the frequency in MHz on every x86 host whose
 * kernel trusts the counter (Linux, arch/x86/kernel/tsc.c, `lpj_fine`).
 *
 * @returns undefined when the text does not say, or nothing credible.
 */
export function tscKhzOf(cpuinfo: string): number | undefined {
  const constant = /^flags\s*:.*\bconstant_tsc\b/m.test(cpuinfo);
  const bogomips = Number(/^bogomips\s*:\s*([0-9]+\.[0-9]+)$/m.exec(cpuinfo)?.[1]);
  const khz = Math.round(bogomips * 500);
  return constant && khz >= MIN_KHZ && khz <= MAX_KHZ ? khz : undefined;
}

let known: Promise<number | undefined> | undefined;

/** The same of this host, read once per process. */
export function hostTscKhz(): Promise<number | undefined> {
  known ??= readCpuinfo().then(tscKhzOf, () => undefined);
  return known;
}

async function readCpuinfo(): Promise<string> {
  const file = await open('/proc/cpuinfo', 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(READ_BYTES), 0, READ_BYTES, 0);
    return buffer.toString('latin1', 0, bytesRead);
  } finally {
    await file.close();
  }
}
