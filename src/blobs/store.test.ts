import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type BlobKey, digestOf, type Ingest, MEDIA_TYPES } from '../oci/index.js';
import { type LocalBlobStore, openBlobStore } from './index.js';

let root: string;
let directory: string;
let store: LocalBlobStore;

const bytes = Buffer.from('the bytes of a blob, long enough to be cut in pieces');
const blob: BlobKey = { digest: digestOf(bytes), sizeBytes: bytes.byteLength };

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'hearth-blobs-'));
  directory = join(root, 'blobs');
  store = await openBlobStore(directory);
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function begin(key: BlobKey = blob): Promise<Ingest> {
  const ingest = await store.ingest(key);
  if (ingest === undefined) throw new Error('the blob is there already');
  return ingest;
}

async function bring(content: Buffer = bytes): Promise<void> {
  await using ingest = await begin({ digest: digestOf(content), sizeBytes: content.byteLength });
  await ingest.write([content]);
  await ingest.commit();
}

/** What a killed process leaves: its locks are gone, its files are not. */
async function leavePart(content: Buffer): Promise<string> {
  const ingest = await begin();
  await ingest.write([content]);
  await ingest[Symbol.asyncDispose]();
  const name = (await readdir(join(directory, 'ingest'))).find((entry) => entry.endsWith('.part'));
  return join(directory, 'ingest', name ?? '');
}

describe('openBlobStore', () => {
  it('makes an OCI layout that nobody else can enter', async () => {
    expect(JSON.parse(await readFile(join(directory, 'oci-layout'), 'utf8'))).toEqual({
      imageLayoutVersion: '1.0.0',
    });
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    await openBlobStore(directory);
  });

  it.each<[name: string, break_: () => Promise<void>]>([
    ['others may write to it', () => chmod(directory, 0o707)],
    ['the group may write to its blobs', () => chmod(join(directory, 'blobs', 'sha256'), 0o770)],
    [
      'it is a link',
      async () => {
        await rm(directory, { recursive: true });
        await mkdir(join(root, 'elsewhere'));
        await symlink(join(root, 'elsewhere'), directory);
      },
    ],
    [
      'its ingest directory is a link',
      async () => {
        await rm(join(directory, 'ingest'), { recursive: true });
        await symlink(root, join(directory, 'ingest'));
      },
    ],
    [
      'it is a file',
      async () => {
        await rm(directory, { recursive: true });
        await writeFile(directory, '');
      },
    ],
  ])('refuses a store when %s', async (_name, breakIt) => {
    await breakIt();
    await expect(openBlobStore(directory)).rejects.toMatchObject({ code: 'STORE_INSECURE' });
  });

  it.each(['', '{}', '{"imageLayoutVersion":"2.0.0"}', 'x'.repeat(5000)])(
    'refuses oci-layout %j',
    async (text) => {
      await writeFile(join(directory, 'oci-layout'), text);
      await expect(openBlobStore(directory)).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
    },
  );
});

describe('ingest', () => {
  it('makes a growing file readable and gives it its name at the end', async () => {
    await using ingest = await begin();
    const { path } = ingest;
    await ingest.write([bytes.subarray(0, 10)]);
    expect(await readFile(path)).toEqual(bytes.subarray(0, 10));
    expect(await store.has(blob)).toBe(false);
    await ingest.write([bytes.subarray(10, 20), bytes.subarray(20)]);
    await ingest.commit();
    expect(await readFile(path)).toEqual(bytes);
    expect(await readFile(store.path(blob.digest))).toEqual(bytes);
    expect(await store.verify(blob)).toBe(true);
    expect(await store.ingest(blob)).toBeUndefined();
  });

  it('stores a blob of no bytes and one named by sha512', async () => {
    await bring(Buffer.alloc(0));
    const key = { digest: digestOf(bytes, 'sha512'), sizeBytes: bytes.byteLength };
    await using ingest = await begin(key);
    await ingest.write([bytes]);
    await ingest.commit();
    expect(await store.verify(key)).toBe(true);
  });

  it('goes on where a dead writer stopped', async () => {
    await leavePart(bytes.subarray(0, 17));
    await using ingest = await begin();
    expect([ingest.writtenBytes, ingest.resumedBytes]).toEqual([17, 17]);
    await ingest.write([bytes.subarray(17)]);
    await ingest.commit();
    expect(await store.verify(blob)).toBe(true);
    expect((await readdir(join(directory, 'ingest'))).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  it('finds out that a resumed part was damaged, and starts over on demand', async () => {
    const part = await leavePart(bytes.subarray(0, 17));
    await writeFile(part, 'x'.repeat(17));
    await using ingest = await begin();
    await ingest.write([bytes.subarray(17)]);
    await expect(ingest.commit()).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    await ingest.restart();
    expect([ingest.writtenBytes, ingest.resumedBytes]).toEqual([0, 0]);
    await ingest.write([bytes]);
    await ingest.commit();
    expect(await store.verify(blob)).toBe(true);
  });

  it.each<[name: string, leave: (part: string) => Promise<unknown>]>([
    ['is longer than the blob', (part) => writeFile(part, 'x'.repeat(bytes.byteLength + 1))],
    ['is a link', async (part) => rm(part).then(() => symlink('/etc/passwd', part))],
    ['is a directory', async (part) => rm(part).then(() => mkdir(part))],
  ])('does not resume a part that %s', async (_name, leave) => {
    await leave(await leavePart(bytes.subarray(0, 5)));
    await using ingest = await begin();
    expect(ingest.writtenBytes).toBe(0);
    await ingest.write([bytes]);
    await ingest.commit();
    expect(await store.verify(blob)).toBe(true);
  });

  it('does not resume a part of an earlier boot, whose bytes a power cut may have taken', async () => {
    const part = await leavePart(bytes.subarray(0, 5));
    const older = part.replace(/\.[0-9a-f]{12}\.part$/, '.0123456789ab.part');
    await writeFile(older, bytes.subarray(0, 30));
    await rm(part);
    await using ingest = await begin();
    expect(ingest.writtenBytes).toBe(0);
    expect(
      (await readdir(join(directory, 'ingest'))).filter((name) => name.includes('0123456789ab')),
    ).toEqual([]);
  });

  it('refuses what is too long, too short or different, and keeps nothing of it', async () => {
    const wrong = Buffer.from(bytes);
    wrong.writeUInt8(0, 3);
    {
      await using ingest = await begin();
      await expect(ingest.write([bytes, Buffer.from('!')])).rejects.toMatchObject({ code: 'SIZE_MISMATCH' });
    }
    {
      await using ingest = await begin();
      await ingest.write([wrong]);
      await expect(ingest.commit()).rejects.toMatchObject({
        code: 'DIGEST_MISMATCH',
        details: { expected: blob.digest, actual: digestOf(wrong), sizeBytes: blob.sizeBytes },
      });
    }
    {
      await using ingest = await begin();
      expect(ingest.writtenBytes).toBe(0);
      await ingest.write([bytes.subarray(1)]);
      await expect(ingest.commit()).rejects.toMatchObject({
        code: 'SIZE_MISMATCH',
        details: { expectedBytes: blob.sizeBytes, actualBytes: blob.sizeBytes - 1 },
      });
    }
    expect(await store.has(blob)).toBe(false);
    expect((await readdir(join(directory, 'ingest'))).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  it('lets one writer at a time work on a blob; who waited finds it done', async () => {
    const first = await begin();
    let isSecondThere = false;
    const second = store.ingest(blob).then((ingest) => {
      isSecondThere = true;
      return ingest;
    });
    await using other = await begin({ digest: digestOf(Buffer.from('x')), sizeBytes: 1 });
    expect(other.writtenBytes).toBe(0);
    await first.write([bytes]);
    expect(isSecondThere).toBe(false);
    await first.commit();
    expect(await second).toBeUndefined();
    await first[Symbol.asyncDispose]();
  });

  it('rejects with the reason when a waiting writer is aborted', async () => {
    await using _first = await begin();
    const controller = new AbortController();
    const waiting = store.ingest(blob, { signal: controller.signal });
    const reason = new Error('enough');
    setTimeout(() => controller.abort(reason), 50);
    await expect(waiting).rejects.toBe(reason);
  });

  it('leaves nothing of what was abandoned or never begun', async () => {
    const ingest = await begin();
    await ingest.write([bytes.subarray(0, 9)]);
    await ingest.abandon();
    await (await begin())[Symbol.asyncDispose]();
    expect((await readdir(join(directory, 'ingest'))).filter((name) => name.endsWith('.part'))).toEqual([]);
    await bring();
  });

  it('says how many bytes are needed when the file system is too small', async () => {
    const huge = { digest: digestOf(Buffer.from('huge')), sizeBytes: 2 ** 45 };
    await expect(store.ingest(huge)).rejects.toMatchObject({
      code: 'DISK_FULL',
      details: { neededBytes: 2 ** 45, path: join(directory, 'ingest') },
    });
    // The lock is free again.
    await expect(store.ingest(huge)).rejects.toMatchObject({ code: 'DISK_FULL' });
  });
});

describe('a damaged blob', () => {
  const path = (): string => store.path(blob.digest);
  it.each<[name: string, damage: () => Promise<unknown>]>([
    ['deleted', () => rm(path())],
    ['emptied', () => truncate(path(), 0)],
    ['cut', () => truncate(path(), 10)],
    ['made longer', () => writeFile(path(), Buffer.concat([bytes, bytes]))],
    ['a link elsewhere', async () => rm(path()).then(() => symlink('/etc/hostname', path()))],
    ['a dangling link', async () => rm(path()).then(() => symlink('/nonexistent', path()))],
    ['a link to itself', async () => rm(path()).then(() => symlink(path(), path()))],
    [
      'a directory',
      async () => {
        await rm(path());
        await mkdir(path());
        await writeFile(join(path(), 'x'), '');
      },
    ],
  ])('that is %s counts as absent and is replaced', async (_name, damage) => {
    await bring();
    await damage();
    expect(await store.has(blob)).toBe(false);
    expect(await store.verify(blob)).toBe(false);
    expect(await store.read(blob.digest, 1000)).toBeUndefined();
    await bring();
    expect(await store.verify(blob)).toBe(true);
  });

  it('with a flipped bit is found by verify, read and discard, not by has', async () => {
    await bring();
    const flipped = Buffer.from(bytes);
    flipped.writeUInt8((flipped[5] ?? 0) ^ 1, 5);
    await writeFile(path(), flipped);
    expect(await store.has(blob)).toBe(true);
    expect(await store.verify(blob)).toBe(false);
    expect(await store.read(blob.digest, 1000)).toBeUndefined();
    expect(await store.discard(blob.digest)).toBe(true);
    expect(await store.has(blob)).toBe(false);
    expect(await store.discard(blob.digest)).toBe(false);
  });

  it('is not what a blob with a wrong descriptor is', async () => {
    await bring();
    await expect(store.has({ ...blob, sizeBytes: 7 })).rejects.toMatchObject({
      code: 'SIZE_MISMATCH',
      details: { expectedBytes: 7, actualBytes: blob.sizeBytes },
    });
    expect(await store.discard(blob.digest)).toBe(false);
    expect(await store.verify(blob)).toBe(true);
  });
});

describe('read and write', () => {
  it('keeps small blobs, idempotently', async () => {
    await store.write(blob.digest, bytes);
    await store.write(blob.digest, bytes);
    expect(await store.read(blob.digest, bytes.byteLength)).toEqual(bytes);
    expect(await store.read(blob.digest, bytes.byteLength - 1)).toBeUndefined();
    expect(await store.usage()).toEqual({ blobCount: 1, sizeBytes: bytes.byteLength });
    await expect(store.write(blob.digest, Buffer.from('x'))).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
    });
  });

  it('replaces a damaged one', async () => {
    await mkdir(store.path(blob.digest));
    await store.write(blob.digest, bytes);
    await writeFile(store.path(blob.digest), 'x'.repeat(bytes.byteLength));
    await store.write(blob.digest, bytes);
    expect(await store.read(blob.digest, 1000)).toEqual(bytes);
  });
});

describe('refs', () => {
  const descriptor = { mediaType: MEDIA_TYPES.ociManifest, ...blob, annotations: {} };
  it('bind names to descriptors, also when many are bound at once', async () => {
    const names = Array.from({ length: 12 }, (_, index) => `x.io/y:${index}`);
    await Promise.all(names.map((name) => store.setRef(name, descriptor)));
    for (const name of names) expect((await store.findRef(name))?.digest).toBe(blob.digest);
    const other = { ...descriptor, digest: digestOf(Buffer.from('other')) };
    await store.setRef('x.io/y:3', other);
    expect((await store.findRef('x.io/y:3'))?.digest).toBe(other.digest);
    expect(await store.findRef('x.io/y:12')).toBeUndefined();
    const index = JSON.parse(await readFile(join(directory, 'index.json'), 'utf8'));
    expect(index.manifests).toHaveLength(12);
  });

  it.each(['', '{', '[]', '{"schemaVersion":2,"manifests":[{}]}'])(
    'are learnt again after index.json became %j',
    async (text) => {
      await store.setRef('a', descriptor);
      await writeFile(join(directory, 'index.json'), text);
      expect(await store.findRef('a')).toBeUndefined();
      await store.setRef('a', descriptor);
      expect((await store.findRef('a'))?.digest).toBe(blob.digest);
    },
  );
});

describe('gc', () => {
  const put = async (value: object) => {
    const content = Buffer.from(JSON.stringify(value));
    await store.write(digestOf(content), content);
    return { digest: digestOf(content), size: content.byteLength };
  };
  const image = async (name: string) => {
    const layer = Buffer.from(`layer of ${name}`);
    await bring(layer);
    const config = await put({ name });
    const manifest = await put({
      schemaVersion: 2,
      config: { mediaType: MEDIA_TYPES.ociConfig, ...config },
      layers: [
        {
          mediaType: 'application/vnd.oci.image.layer.v1.tar',
          digest: digestOf(layer),
          size: layer.byteLength,
        },
      ],
    });
    const key = {
      mediaType: MEDIA_TYPES.ociManifest,
      digest: manifest.digest,
      sizeBytes: manifest.size,
      annotations: {},
    };
    return { key, layer: { digest: digestOf(layer), sizeBytes: layer.byteLength } };
  };

  it('keeps what names and the caller keep, with all below, and removes the rest', async () => {
    const [named, kept, loose] = [await image('named'), await image('kept'), await image('loose')];
    await store.setRef('named', named.key);
    await leavePart(bytes.subarray(0, 3));
    const collected = await store.gc({ keep: [kept.key.digest] });
    expect(collected).toMatchObject({ removedCount: 3, droppedRefs: [] });
    expect(collected.removedBytes).toBeGreaterThan(0);
    for (const { key, layer } of [named, kept]) {
      expect([await store.has(key), await store.has(layer)]).toEqual([true, true]);
    }
    expect([await store.has(loose.key), await store.has(loose.layer)]).toEqual([false, false]);
    expect(await readdir(join(directory, 'ingest'))).toEqual([]);
  });

  it('drops names on demand, but not those of kept images', async () => {
    const [kept, dropped] = [await image('kept'), await image('dropped')];
    const index = await put({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociIndex,
      manifests: [{ mediaType: MEDIA_TYPES.ociManifest, digest: kept.key.digest, size: kept.key.sizeBytes }],
    });
    await store.setRef('kept', {
      mediaType: MEDIA_TYPES.ociIndex,
      digest: index.digest,
      sizeBytes: index.size,
      annotations: {},
    });
    await store.setRef('dropped', dropped.key);
    expect(await store.gc({ keep: [kept.key.digest], refs: 'drop' })).toMatchObject({
      droppedRefs: ['dropped'],
    });
    expect(await store.findRef('kept')).toBeDefined();
    expect(await store.findRef('dropped')).toBeUndefined();
    expect([await store.has(kept.layer), await store.has(dropped.layer)]).toEqual([true, false]);
  });

  it('spares what is young', async () => {
    await bring();
    expect(await store.gc({ olderThanMs: 60_000 })).toMatchObject({ removedCount: 0 });
    expect(await store.gc()).toMatchObject({ removedCount: 1, removedBytes: bytes.byteLength });
  });

  it('removes nothing while a lease or an ingest is held, by whomever', async () => {
    await bring();
    const other = await openBlobStore(directory);
    const lease = await other.lease();
    await expect(store.gc({ timeoutMs: 0 })).rejects.toMatchObject({ code: 'STORE_LOCKED' });
    await lease.release();
    await lease.release();
    const ingest = await begin({ digest: digestOf(Buffer.from('y')), sizeBytes: 1 });
    await expect(other.gc({ timeoutMs: 0 })).rejects.toMatchObject({ code: 'STORE_LOCKED' });
    await ingest[Symbol.asyncDispose]();
    expect(await store.gc({ timeoutMs: 0 })).toMatchObject({ removedCount: 1 });
  });

  it('survives rubbish under blobs/', async () => {
    await mkdir(join(directory, 'blobs', 'sha256', 'rubbish'));
    await symlink('/etc', join(directory, 'blobs', 'sha256', 'link'));
    expect(await store.gc()).toMatchObject({ removedCount: 2 });
    expect((await stat('/etc')).isDirectory()).toBe(true);
  });
});

describe('what dead writers leave', () => {
  it('goes when the next lease ends: temporary files at once, parts after a day', async () => {
    const part = await leavePart(bytes.subarray(0, 3));
    const temporary = join(directory, 'ingest', 'sha256-x.0011.tmp');
    await writeFile(temporary, 'x');
    await (await store.lease()).release();
    const names = await readdir(join(directory, 'ingest'));
    expect(names.some((name) => name.endsWith('.tmp'))).toBe(false);
    expect(names.some((name) => name.endsWith('.part'))).toBe(true);
    const { utimes } = await import('node:fs/promises');
    await utimes(part, 1, 1);
    await (await store.lease()).release();
    expect(await readdir(join(directory, 'ingest'))).toEqual([]);
  });
});
