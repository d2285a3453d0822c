import { describe, expect, it } from 'vitest';
import { buildElf, buildModule } from '../../test/kernels/elf-fixture.js';
import { moduleName, readModuleInfo } from './module-info.js';

const read = (bytes: string) => readModuleInfo(Buffer.from(bytes, 'latin1'), 'it');

describe('readModuleInfo', () => {
  it('reads release and dependencies, in one spelling', () => {
    expect(read(buildModule('6.1.0-9', 'virtio_ring,virtio-pci'))).toEqual({
      release: '6.1.0-9',
      requires: ['virtio_ring', 'virtio_pci'],
      wants: [],
    });
  });

  const softdeps: ReadonlyArray<[softdep: string, wants: string[]]> = [
    ['pre: crc32c', ['crc32c']],
    ['pre: a-b c post: d', ['a_b', 'c']],
    ['post: d pre: a', ['a']],
    ['post: d', []],
    ['', []],
  ];
  it.each(softdeps)('reads softdep=%s', (softdep, wants) => {
    expect(read(buildModule('1', '', [`softdep=${softdep}`])).wants).toEqual(wants);
  });

  it('says nothing of a file without .modinfo', () => {
    expect(readModuleInfo(buildElf({}), 'it')).toEqual({ release: undefined, requires: [], wants: [] });
  });

  it('refuses what is not ELF', () => {
    expect(() => read('module')).toThrow(expect.objectContaining({ code: 'KERNEL_INVALID' }));
  });
});

describe('moduleName', () => {
  it.each([
    ['virtio-rng', 'virtio_rng'],
    ['a-b-c', 'a_b_c'],
    ['overlay', 'overlay'],
  ])('%s is %s', (name, expected) => {
    expect(moduleName(name)).toBe(expected);
  });
});
