import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Digest, digestHex, digestOf, MEDIA_TYPES } from '../oci/index.js';
import { openLayoutImage } from './index.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hearth-layout-'));
  await mkdir(join(directory, 'blobs', 'sha256'), { recursive: true });
  await writeFile(join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const pathOf = (digest: Digest): string => join(directory, 'blobs', 'sha256', digestHex(digest));

async function put(value: object | string) {
  const bytes = Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
  await writeFile(pathOf(digestOf(bytes)), bytes);
  return { digest: digestOf(bytes), size: bytes.byteLength };
}

async function putImage(name: string, architecture = 'amd64') {
  const diffId = digestOf(Buffer.from(name));
  const layer = await put(`layer ${name}`);
  const config = await put({ os: 'linux', architecture, rootfs: { type: 'layers', diff_ids: [diffId] } });
  const manifest = await put({
    schemaVersion: 2,
    config: { mediaType: MEDIA_TYPES.ociConfig, ...config },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', ...layer }],
  });
  return { layer, diffId, entry: { mediaType: MEDIA_TYPES.ociManifest, ...manifest } };
}

async function putIndex(entries: ReadonlyArray<[name: string | undefined, entry: object]>): Promise<void> {
  const manifests = entries.map(([name, entry]) => ({
    ...entry,
    ...(name === undefined ? {} : { annotations: { 'org.opencontainers.image.ref.name': name } }),
  }));
  await writeFile(join(directory, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
}

describe('openLayoutImage', () => {
  it('opens the only image without a name, and verifies its layers', async () => {
    const made = await putImage('a');
    await putIndex([[undefined, made.entry]]);
    const image = await openLayoutImage(directory);
    expect(image.manifestDigest).toBe(made.entry.digest);
    const [layer] = image.layers;
    expect(layer?.diffId).toBe(made.diffId);
    expect(await layer?.open()).toBe(pathOf(made.layer.digest));
    expect(await layer?.available(0)).toBe(made.layer.size);
    await layer?.done;
  });

  it.each([['1'], ['docker.io/library/a:1'], ['digest']])('finds an image by %s', async (by) => {
    const [a, b] = [await putImage('a'), await putImage('b')];
    await putIndex([
      ['docker.io/library/a:1', a.entry],
      ['2', b.entry],
    ]);
    const name = by === 'digest' ? a.entry.digest : by;
    expect((await openLayoutImage(directory, name)).manifestDigest).toBe(a.entry.digest);
    expect((await openLayoutImage(directory, '2')).manifestDigest).toBe(b.entry.digest);
  });

  it('follows links that build systems make', async () => {
    const made = await putImage('a');
    await putIndex([['1', made.entry]]);
    await rename(pathOf(made.layer.digest), join(directory, 'real'));
    await symlink(join(directory, 'real'), pathOf(made.layer.digest));
    const image = await openLayoutImage(directory, '1');
    await image.layers[0]?.open();
    await image.layers[0]?.done;
  });

  it('says which images there are when none or several could be meant', async () => {
    const [a, b] = [await putImage('a'), await putImage('b')];
    await putIndex([
      ['1', a.entry],
      ['2', b.entry],
    ]);
    for (const name of [undefined, '3']) {
      await expect(openLayoutImage(directory, name)).rejects.toMatchObject({
        code: 'MANIFEST_UNKNOWN',
        details: { names: ['1', '2'] },
      });
    }
  });

  it.each<[name: string, break_: () => Promise<unknown>]>([
    ['oci-layout is missing', () => rm(join(directory, 'oci-layout'))],
    ['oci-layout is of another version', () => writeFile(join(directory, 'oci-layout'), '{}')],
    ['the directory is missing', () => rm(directory, { recursive: true })],
  ])('refuses a directory when %s', async (_name, breakIt) => {
    await breakIt();
    await expect(openLayoutImage(directory)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });

  it('refuses an empty layout and an image for another platform', async () => {
    await expect(openLayoutImage(directory)).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' });
    await putIndex([['1', (await putImage('a', 'arm64')).entry]]);
    await expect(openLayoutImage(directory)).rejects.toMatchObject({ code: 'PLATFORM_NOT_FOUND' });
  });

  it('finds damaged documents and layers', async () => {
    const made = await putImage('a');
    await putIndex([['1', made.entry]]);
    const image = await openLayoutImage(directory);
    await writeFile(pathOf(made.layer.digest), 'L'.repeat(made.layer.size));
    await image.layers[0]?.open();
    await expect(image.layers[0]?.done).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    const again = await openLayoutImage(directory);
    await writeFile(pathOf(made.layer.digest), 'short');
    await expect(again.layers[0]?.open()).rejects.toMatchObject({ code: 'SIZE_MISMATCH' });
    await rm(pathOf(made.layer.digest));
    await expect(again.layers[0]?.open()).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' });
    await writeFile(pathOf(made.entry.digest), 'M'.repeat(made.entry.size));
    await expect(openLayoutImage(directory)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    await writeFile(pathOf(made.entry.digest), 'x');
    await expect(openLayoutImage(directory)).rejects.toMatchObject({ code: 'SIZE_MISMATCH' });
    await rm(pathOf(made.entry.digest));
    await expect(openLayoutImage(directory)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' });
  });
});
