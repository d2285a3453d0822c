/**
 * As much of ELF as a kernel and its modules need: are all parts inside the file, one section's bytes,
 * and the notes. Little-endian 64-bit only (x86-64).
 *
 * Source: System V ABI, gABI 4.1, chapters 4 and 5; elf(5).
 */
import { HearthError } from '../errors/index.js';

const HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;
const SECTION_HEADER_BYTES = 64;
const MACHINE_X86_64 = 62;
const PT_LOAD = 1;
const PT_NOTE = 4;
const SHT_NOBITS = 8;

interface Part {
  readonly type: number;
  readonly offset: number;
  readonly sizeBytes: number;
}

interface Section extends Part {
  readonly name: string;
}

export interface Elf {
  /** Program headers of type LOAD. */
  readonly loadCount: number;
  /** Bytes of the first section of that name, a view into the input; undefined when there is none. */
  section(name: string): Uint8Array | undefined;
  /** Descriptor of the first note with that owner and type, or undefined. */
  note(owner: string, type: number): Uint8Array | undefined;
}

/**
 * @param what Names the file in messages.
 * @throws {HearthError} `KERNEL_INVALID` when it is not such an ELF file or a header reaches outside it.
 */
export function readElf(bytes: Uint8Array, what: string): Elf {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fail = (why: string): HearthError =>
    new HearthError('KERNEL_INVALID', `${what} is not a usable x86-64 ELF file: ${why}`, {
      details: { what, why, sizeBytes: bytes.byteLength },
    });
  if (bytes.byteLength < HEADER_BYTES || view.getUint32(0) !== 0x7f454c46) throw fail('no ELF header');
  if (bytes[4] !== 2 || bytes[5] !== 1) throw fail('not 64-bit little-endian');
  if (view.getUint16(18, true) !== MACHINE_X86_64) throw fail(`machine ${view.getUint16(18, true)}`);

  /** A 64-bit field as a number; what lies past 2^53 lies past the end of any file too. */
  const wide = (offset: number): number => Number(view.getBigUint64(offset, true));
  const inside = (offset: number, sizeBytes: number): boolean =>
    offset <= bytes.byteLength && sizeBytes <= bytes.byteLength - offset;

  const readTable = (name: string, offset: number, count: number, entry: number, least: number): number[] => {
    if (count === 0) return [];
    if (entry < least) throw fail(`${name} entries of ${entry} bytes`);
    if (!inside(offset, count * entry)) throw fail(`${name} table reaches past the end`);
    return Array.from({ length: count }, (_, index) => offset + index * entry);
  };

  const programs: Part[] = readTable(
    'program header',
    wide(32),
    view.getUint16(56, true),
    view.getUint16(54, true),
    PROGRAM_HEADER_BYTES,
  ).map((at) => ({ type: view.getUint32(at, true), offset: wide(at + 8), sizeBytes: wide(at + 32) }));
  for (const { offset, sizeBytes } of programs) {
    if (!inside(offset, sizeBytes)) throw fail('a segment reaches past the end');
  }

  const nameIndex = view.getUint16(62, true);
  const sectionHeaders = readTable(
    'section header',
    wide(40),
    view.getUint16(60, true),
    view.getUint16(58, true),
    SECTION_HEADER_BYTES,
  );
  const rawSections = sectionHeaders.map((at) => {
    const type = view.getUint32(at + 4, true);
    const sizeBytes = type === SHT_NOBITS ? 0 : wide(at + 32);
    const offset = wide(at + 24);
    if (type !== SHT_NOBITS && !inside(offset, sizeBytes)) throw fail('a section reaches past the end');
    return { nameOffset: view.getUint32(at, true), type, offset, sizeBytes };
  });
  const names = rawSections[nameIndex];
  const sections: Section[] = rawSections.map(({ nameOffset, ...part }) => ({
    ...part,
    name: names === undefined ? '' : stringAt(bytes, names, nameOffset),
  }));

  const part = ({ offset, sizeBytes }: Part): Uint8Array => bytes.subarray(offset, offset + sizeBytes);
  return {
    loadCount: programs.filter(({ type }) => type === PT_LOAD).length,
    section: (name) => {
      const found = sections.find((section) => section.name === name);
      return found && part(found);
    },
    note: (owner, type) => {
      for (const program of programs.filter((candidate) => candidate.type === PT_NOTE)) {
        const found = findNote(part(program), owner, type);
        if (found !== undefined) return found;
      }
      return undefined;
    },
  };
}

function stringAt(bytes: Uint8Array, table: Part, offset: number): string {
  if (offset >= table.sizeBytes) return '';
  const rest = bytes.subarray(table.offset + offset, table.offset + table.sizeBytes);
  const end = rest.indexOf(0);
  return Buffer.from(rest.subarray(0, end === -1 ? rest.byteLength : end)).toString('latin1');
}

function findNote(notes: Uint8Array, owner: string, type: number): Uint8Array | undefined {
  const view = new DataView(notes.buffer, notes.byteOffset, notes.byteLength);
  const align = (size: number): number => (size + 3) & ~3;
  for (let at = 0; at + 12 <= notes.byteLength; ) {
    const nameBytes = view.getUint32(at, true);
    const valueBytes = view.getUint32(at + 4, true);
    const nameAt = at + 12;
    const valueAt = nameAt + align(nameBytes);
    if (nameBytes > notes.byteLength || valueBytes > notes.byteLength) return undefined;
    if (valueAt + valueBytes > notes.byteLength) return undefined;
    const name = Buffer.from(notes.subarray(nameAt, nameAt + nameBytes)).toString('latin1');
    if (name === `${owner}\0` && view.getUint32(at + 8, true) === type) {
      return notes.subarray(valueAt, valueAt + valueBytes);
    }
    at = valueAt + align(valueBytes);
  }
  return undefined;
}
