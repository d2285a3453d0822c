import { describe, expect, it } from 'vitest';
import type { VmSpec } from './driver.js';
import { assertSpec } from './spec.js';

const spec: VmSpec = {
  directory: '/vm',
  kernelPath: '/k',
  initrdPath: '/i',
  kernelArgs: [],
  cpus: 1,
  memoryMib: 256,
  disks: [],
  accelerator: 'tcg',
};
const disk = { path: '/d', format: 'raw', readOnly: true } as const;

describe('assertSpec', () => {
  const allowed: ReadonlyArray<Partial<VmSpec>> = [
    {},
    { cpus: 64 },
    { memoryMib: 64 },
    { memoryMib: 1024 * 1024 },
    { disks: Array.from({ length: 16 }, () => disk) },
    { kernelArgs: ['x'.repeat(1600)] },
  ];
  it.each(allowed)('takes %j', (change) => {
    expect(() => assertSpec({ ...spec, ...change })).not.toThrow();
  });

  const refused: ReadonlyArray<[field: string, change: Partial<VmSpec>]> = [
    ['cpus', { cpus: 0 }],
    ['cpus', { cpus: 65 }],
    ['cpus', { cpus: 1.5 }],
    ['cpus', { cpus: Number.NaN }],
    ['memoryMib', { memoryMib: 63 }],
    ['memoryMib', { memoryMib: 1024 * 1024 + 1 }],
    ['disks', { disks: Array.from({ length: 17 }, () => disk) }],
    ['kernelArgs', { kernelArgs: ['x'.repeat(1601)] }],
    ['kernelArgs', { kernelArgs: ['a\nb'] }],
    ['kernelArgs', { kernelArgs: ['ä'] }],
    ['path', { directory: 'vm' }],
    ['path', { kernelPath: '' }],
    ['path', { disks: [{ ...disk, path: './d' }] }],
    ['path', { disks: [{ ...disk, path: '/d\0' }] }],
    ['path', { memory: { kind: 'file', path: 'm' } }],
    ['path', { resumeFrom: { statePath: 's' } }],
    ['network.mac', { network: { mac: '52:54:00:12:34' } }],
    ['network.mac', { network: { mac: '53:54:00:12:34:56' } }],
    ['network.mac', { network: { mac: '52:54:00:12:34:56,x=y' } }],
  ];
  it.each(refused)('refuses %s: %j', (field, change) => {
    expect(() => assertSpec({ ...spec, ...change })).toThrow(
      expect.objectContaining({ code: 'VM_SPEC_INVALID', details: expect.objectContaining({ field }) }),
    );
  });
});
