import {
  appendFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Image } from '../../src/oci/index.js';
import { buildRootfsOnce, digestRootfs, type RootfsOnceResult } from '../../src/rootfs/index.js';
import { assertClean } from '../conformance/image-to-ext4/read-back.js';
import { CAN_MOUNT, type Mounted, mountImage } from '../disks/mount.js';
import { gzipLayer, makeImage } from './support/image-builder.js';
import { dir, file, tar } from './support/tar-builder.js';

let directory: string;
let memoryDirectory: string;
let image: Image;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hearth-once-'));
  memoryDirectory = join(directory, 'memory');
  await mkdir(join(directory, 'out'));
  image = await makeImage(directory, [gzipLayer(tar(dir('d'), file('d/a', 'body'.repeat(10_000))))]);
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const out = (name: string): string => join(directory, 'out', name);
const build = (name: string, options = {}): Promise<RootfsOnceResult> =>
  buildRootfsOnce(image, { outputPath: out(name), memoryDirectory, ...options });

/** The same image, whose layers nobody may touch. */
function untouchable(): Image {
  const never = (): never => {
    throw new Error('a layer was read');
  };
  return {
    ...image,
    layers: image.layers.map((layer) => ({ ...layer, open: never, available: never })),
  };
}

describe('building what was built before', () => {
  it('leaves an unchanged output as it is, without reading a layer', async () => {
    const first = await build('a');
    expect(first.origin).toBe('built');
    image = untouchable();
    const second = await build('a');
    expect(second).toMatchObject({ origin: 'kept', writtenBytes: 0, digest: first.digest });
    for (const field of [
      'sizeBytes',
      'contentBytes',
      'entryCount',
      'layerCount',
      'uncompressedBytes',
    ] as const) {
      expect(second[field], field).toBe(first[field]);
    }
  });

  it('clones it to another output: the same bytes, holes kept, a file of its own', async () => {
    const { digest } = await build('a');
    image = untouchable();
    const { origin, writtenBytes } = await build('b');
    expect(['copy', 'reflink']).toContain(origin);
    expect(writtenBytes).toBeLessThan(64 * 1024 * 1024);
    assertClean(out('b'));
    expect(await digestRootfs(out('b'))).toBe(digest);
    await appendFile(out('b'), 'x');
    expect(await digestRootfs(out('a'))).toBe(digest);
    expect(await readdir(join(directory, 'out'))).toEqual(['a', 'b']);
    // What was cloned counts from now on as well.
    await build('c');
    await rm(out('a'));
    expect((await build('c')).origin).toBe('kept');
  });

  it('finds a file whose directory was renamed, as an install is', async () => {
    await build('a');
    await rename(join(directory, 'out'), join(directory, 'installed'));
    await mkdir(join(directory, 'out'));
    const alsoAt = async (): Promise<string[]> => [
      join(directory, 'installed', 'a'),
      join(directory, 'none'),
    ];
    expect((await build('b')).origin).toBe('built');
    await rm(out('b'));
    expect((await build('c', { alsoAt })).origin).not.toBe('built');
  });

  it.each<[string, () => Promise<unknown>]>([
    ['was appended to', () => appendFile(out('a'), 'x')],
    [
      'was written to and has its old length and times again',
      async () => {
        const { utimes, open, stat } = await import('node:fs/promises');
        const before = await stat(out('a'));
        const handle = await open(out('a'), 'r+');
        await handle.write('x', 5000);
        await handle.close();
        await utimes(out('a'), before.atime, before.mtime);
      },
    ],
    ['is gone', () => rm(out('a'))],
    [
      'is a link to it',
      async () => {
        await rename(out('a'), join(directory, 'moved'));
        await symlink(join(directory, 'moved'), out('a'));
      },
    ],
    [
      'is another file',
      async () => {
        await writeFile(join(directory, 'other'), 'other');
        await rename(join(directory, 'other'), out('a'));
      },
    ],
  ])('builds again when the only file that is known %s', async (_what, change) => {
    const { digest } = await build('a');
    await change();
    const again = await build('a');
    expect(again).toMatchObject({ origin: 'built', digest });
    assertClean(out('a'));
  });

  it('builds again for another size, another limit, another image, or on demand', async () => {
    await build('a');
    expect((await build('a', { sizeBytes: 2 * 1024 ** 3 })).origin).toBe('built');
    expect((await build('a', { rebuild: true })).origin).toBe('built');
    await expect(build('a', { maxContentBytes: 100 })).rejects.toMatchObject({ code: 'CONTENT_TOO_LARGE' });
    image = await makeImage(directory, [gzipLayer(tar(file('other', 'body')))]);
    expect((await build('a')).origin).toBe('built');
  });

  it.each([
    ['no JSON', () => '{'],
    ['of another version', (text: string) => text.replace('"schemaVersion":1', '"schemaVersion":2')],
    ['without a digest', (text: string) => text.replace('ext4-sha256:', 'sha1:')],
    ['with a size that is none', (text: string) => text.replace(/"sizeBytes":\d+/, '"sizeBytes":-1')],
    ['with files that are none', (text: string) => text.replace(/"files":\[.*\]/, '"files":[null]')],
  ])('takes a memory that is %s for none', async (_what, damage) => {
    await build('a');
    const [name = ''] = await readdir(memoryDirectory);
    const path = join(memoryDirectory, name);
    await writeFile(path, damage(await readFile(path, 'utf8')));
    expect((await build('a')).origin).toBe('built');
    expect((await build('a')).origin).toBe('kept');
  });

  it('rejects with the reason when it is aborted, and leaves nothing', async () => {
    await build('a');
    const reason = new Error('enough');
    await expect(build('b', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(await readdir(join(directory, 'out'))).toEqual(['a']);
  });
});

describe.runIf(CAN_MOUNT)('on a file system with reflinks', () => {
  let mounted: Mounted;
  beforeAll(() => {
    mounted = mountImage('xfs', 400);
  });
  afterAll(() => mounted.unmount());

  it('shares the blocks', async () => {
    const place = (name: string): string => join(mounted.path, name);
    const options = { memoryDirectory };
    const { digest } = await buildRootfsOnce(image, { ...options, outputPath: place('a') });
    const clone = await buildRootfsOnce(untouchable(), { ...options, outputPath: place('b') });
    expect(clone).toMatchObject({ origin: 'reflink', writtenBytes: 0 });
    expect(await digestRootfs(place('b'))).toBe(digest);
  });
});
