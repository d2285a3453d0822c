import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildElf } from '../../test/kernels/elf-fixture.js';
import { HearthError } from '../errors/index.js';
import { readElf } from './elf.js';

describe('readElf', () => {
  const whole = buildElf({ note: { owner: 'Xen', type: 18 }, sections: { '.modinfo': 'depends=a\0' } });

  it('gives sections, notes and the number of loadable segments', () => {
    const elf = readElf(whole, 'it');
    expect(elf.loadCount).toBe(1);
    expect(Buffer.from(elf.section('.modinfo') ?? []).toString()).toBe('depends=a\0');
    expect(elf.section('.text')).toBeUndefined();
    expect(Buffer.from(elf.note('Xen', 18) ?? []).toString('hex')).toBe('00100000');
    expect(elf.note('Xen', 17)).toBeUndefined();
    expect(elf.note('Linux', 18)).toBeUndefined();
  });

  it('refuses every shorter file', () => {
    for (let end = 0; end < whole.byteLength; end += 1) {
      expect(() => readElf(whole.subarray(0, end), 'it')).toThrow(
        expect.objectContaining({ code: 'KERNEL_INVALID' }),
      );
    }
  });

  const broken: ReadonlyArray<[name: string, offset: number, bytes: readonly number[]]> = [
    ['another magic', 0, [0x7e]],
    ['32 bits', 4, [1]],
    ['big-endian', 5, [2]],
    ['another machine', 18, [0xb7]],
    ['a program header table past the end', 32, [0xff, 0xff, 0xff]],
    ['a table at 2^63', 39, [0x80]],
    ['tiny program headers', 54, [8]],
    ['tiny section headers', 58, [8]],
    ['a segment past the end', 64 + 32, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
  ];
  it.each(broken)('refuses %s', (_name, offset, bytes) => {
    const changed = Buffer.from(whole);
    changed.set(bytes, offset);
    expect(() => readElf(changed, 'it')).toThrow(
      expect.objectContaining({ code: 'KERNEL_INVALID', details: expect.objectContaining({ what: 'it' }) }),
    );
  });

  it('survives any change of any bytes', () => {
    const change = fc.tuple(fc.nat(whole.byteLength - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), (changes) => {
        const changed = Buffer.from(whole);
        for (const [offset, byte] of changes) changed[offset] = byte;
        try {
          const elf = readElf(changed, 'it');
          elf.section('.modinfo');
          elf.note('Xen', 18);
        } catch (error) {
          expect(HearthError.is(error) && error.code).toBe('KERNEL_INVALID');
        }
      }),
      { numRuns: 3000 },
    );
  });
});
