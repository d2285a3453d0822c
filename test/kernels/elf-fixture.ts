/** Small ELF files and bzImages for tests: correct, and nothing in them runs. */

export interface ElfShape {
  /** A note with a four-byte value, as kernels carry their PVH entry. */
  readonly note?: { readonly owner: string; readonly type: number };
  /** Name to content. */
  readonly sections?: Readonly<Record<string, string>>;
  /** Bytes of the loadable segment. Default a few. */
  readonly text?: string;
}

/** Header, one LOAD and one NOTE program header, their bytes, sections, section headers. */
export function buildElf({ note, sections = {}, text = 'text' }: ElfShape): Buffer {
  const noteBytes = note === undefined ? Buffer.alloc(0) : encodeNote(note.owner, note.type);
  const textBytes = Buffer.from(text);
  const names = ['', '.shstrtab', ...Object.keys(sections)];
  const nameTable = Buffer.from(`${names.join('\0')}\0`);
  const bodies: Buffer[] = [nameTable, ...Object.values(sections).map((content) => Buffer.from(content))];

  const bodyAt = 64 + 2 * 56;
  const noteAt = bodyAt + textBytes.byteLength;
  const programs = Buffer.concat([
    programHeader(1, bodyAt, textBytes.byteLength),
    programHeader(4, noteAt, noteBytes.byteLength),
  ]);
  let at = noteAt + noteBytes.byteLength;
  let nameAt = 1;
  const headers: Buffer[] = [Buffer.alloc(64)];
  for (const [index, body] of bodies.entries()) {
    headers.push(sectionHeader(nameAt, index === 0 ? 3 : 1, at, body.byteLength));
    nameAt += Buffer.byteLength(names[index + 1] ?? '') + 1;
    at += body.byteLength;
  }

  const header = Buffer.alloc(64);
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  header.writeUInt16LE(62, 18);
  header.writeBigUInt64LE(64n, 32);
  header.writeBigUInt64LE(BigInt(at), 40);
  header.writeUInt16LE(56, 54);
  header.writeUInt16LE(2, 56);
  header.writeUInt16LE(64, 58);
  header.writeUInt16LE(headers.length, 60);
  header.writeUInt16LE(1, 62);
  return Buffer.concat([header, programs, textBytes, noteBytes, ...bodies, ...headers]);
}

/** A vmlinux as {@link extractVmlinux} accepts it, saying it is of `release`. */
export function buildVmlinux(release: string): Buffer {
  return buildElf({ note: { owner: 'Xen', type: 18 }, text: `Linux version ${release} (builder)` });
}

/** A kernel module for `release`. */
export function buildModule(release: string, depends = '', more: readonly string[] = []): string {
  const info = [`depends=${depends}`, ...more, `vermagic=${release} SMP preempt mod_unload `];
  return buildElf({ sections: { '.modinfo': `${info.join('\0')}\0` } }).toString('latin1');
}

/** A bzImage around a payload, to which the size is appended unless the payload ends with it. */
export function buildBzImage(payload: Uint8Array, expandedBytes: number, sizeAppended = true): Buffer {
  const setupSectors = 1;
  const head = Buffer.alloc((setupSectors + 1) * 512);
  head[0x1f1] = setupSectors;
  head.write('HdrS', 0x202, 'latin1');
  head.writeUInt16LE(0x020f, 0x206);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(expandedBytes);
  const body = sizeAppended ? Buffer.concat([payload, size]) : Buffer.from(payload);
  head.writeUInt32LE(16, 0x248);
  head.writeUInt32LE(body.byteLength, 0x24c);
  return Buffer.concat([head, Buffer.alloc(16), body, Buffer.alloc(32)]);
}

function encodeNote(owner: string, type: number): Buffer {
  const name = Buffer.from(`${owner}\0`);
  const padded = Buffer.alloc((name.byteLength + 3) & ~3);
  padded.set(name);
  const head = Buffer.alloc(12);
  head.writeUInt32LE(name.byteLength, 0);
  head.writeUInt32LE(4, 4);
  head.writeUInt32LE(type, 8);
  return Buffer.concat([head, padded, Buffer.from([0x00, 0x10, 0x00, 0x00])]);
}

function programHeader(type: number, offset: number, sizeBytes: number): Buffer {
  const header = Buffer.alloc(56);
  header.writeUInt32LE(type, 0);
  header.writeBigUInt64LE(BigInt(offset), 8);
  header.writeBigUInt64LE(BigInt(sizeBytes), 32);
  return header;
}

function sectionHeader(nameAt: number, type: number, offset: number, sizeBytes: number): Buffer {
  const header = Buffer.alloc(64);
  header.writeUInt32LE(nameAt, 0);
  header.writeUInt32LE(type, 4);
  header.writeBigUInt64LE(BigInt(offset), 24);
  header.writeBigUInt64LE(BigInt(sizeBytes), 32);
  return header;
}
