import { describe, expect, it } from 'vitest';
import { chooseManifest } from './choose.js';
import { type Digest, digestOf } from './digest.js';
import { parseDocument } from './manifest.js';
import { MEDIA_TYPES } from './media-types.js';
import { parsePlatform } from './platform.js';

/** Documents by digest, as a registry would serve them. */
class Documents {
  readonly #bytes = new Map<string, Buffer>();
  readonly read: string[] = [];

  put(value: object): { digest: Digest; size: number } {
    const bytes = Buffer.from(JSON.stringify(value));
    const digest = digestOf(bytes);
    this.#bytes.set(digest, bytes);
    return { digest, size: bytes.byteLength };
  }

  image(platform: { os?: string; architecture?: string }, rootfs: object = { type: 'layers', diff_ids: [] }) {
    const config = { mediaType: MEDIA_TYPES.ociConfig, ...this.put({ ...platform, rootfs }) };
    return { mediaType: MEDIA_TYPES.ociManifest, ...this.put({ schemaVersion: 2, config, layers: [] }) };
  }

  index(manifests: readonly object[]) {
    const mediaType = MEDIA_TYPES.ociIndex;
    return { mediaType, ...this.put({ schemaVersion: 2, mediaType, manifests }) };
  }

  async choose(top: { digest: Digest }, platform: string) {
    const bytes = (digest: Digest): Buffer => {
      this.read.push(digest);
      return this.#bytes.get(digest) ?? Buffer.alloc(0);
    };
    const document = parseDocument(this.#bytes.get(top.digest) ?? Buffer.alloc(0));
    return chooseManifest({ document, digest: top.digest }, parsePlatform(platform), {
      readDocument: async ({ digest }) => bytes(digest),
      readConfig: async ({ digest }) => bytes(digest),
    });
  }
}

const amd64 = { os: 'linux', architecture: 'amd64' };
const arm64 = { os: 'linux', architecture: 'arm64' };

describe('chooseManifest', () => {
  it('PY-33, PY-35 takes the entry for linux/amd64 from an index and reads no other', async () => {
    const documents = new Documents();
    const other = { ...documents.image(arm64), platform: arm64 };
    const wanted = { ...documents.image(amd64), platform: amd64 };
    const top = documents.index([other, wanted]);
    const chosen = await documents.choose(top, 'linux/amd64');
    expect(chosen).toMatchObject({ indexDigest: top.digest, manifestDigest: wanted.digest, platform: amd64 });
    expect(documents.read).toEqual([wanted.digest]);
  });

  it('follows nested indexes', async () => {
    const documents = new Documents();
    const wanted = { ...documents.image(amd64), platform: amd64 };
    const top = documents.index([documents.index([documents.index([wanted])])]);
    expect((await documents.choose(top, 'linux/amd64')).manifestDigest).toBe(wanted.digest);
  });

  it('looks into manifests that state no platform', async () => {
    const documents = new Documents();
    const wanted = documents.image(amd64);
    const top = documents.index([documents.image(arm64), wanted]);
    expect(await documents.choose(top, 'linux/amd64')).toMatchObject({
      manifestDigest: wanted.digest,
      platform: amd64,
    });
  });

  it('takes a lone manifest that suits or does not say', async () => {
    const documents = new Documents();
    const suits = documents.image(amd64);
    const silent = documents.image({});
    expect(await documents.choose(suits, 'linux/amd64')).toMatchObject({ manifestDigest: suits.digest });
    expect(await documents.choose(silent, 'linux/arm64')).toMatchObject({ platform: arm64 });
    expect('indexDigest' in (await documents.choose(suits, 'linux/amd64'))).toBe(false);
  });

  it('takes an artifact, whose config says nothing of platforms', async () => {
    const documents = new Documents();
    const config = { mediaType: 'application/vnd.oci.empty.v1+json', ...documents.put({}) };
    const artifact = documents.put({ schemaVersion: 2, config, layers: [] });
    expect((await documents.choose(artifact, 'linux/amd64')).manifestDigest).toBe(artifact.digest);
    expect(documents.read).toEqual([]);
  });

  it('says what there is when nothing suits', async () => {
    const documents = new Documents();
    const top = documents.index([
      { ...documents.image(arm64), platform: arm64 },
      { ...documents.image(arm64), platform: { os: 'unknown', architecture: 'unknown' } },
      documents.image({ os: 'linux', architecture: 's390x' }),
    ]);
    await expect(documents.choose(top, 'linux/amd64')).rejects.toMatchObject({
      code: 'PLATFORM_NOT_FOUND',
      details: { platform: 'linux/amd64', offered: ['linux/arm64', 'linux/s390x'] },
    });
    await expect(documents.choose(documents.image(arm64), 'linux/amd64')).rejects.toMatchObject({
      code: 'PLATFORM_NOT_FOUND',
      details: { offered: ['linux/arm64'] },
    });
    await expect(documents.choose(documents.index([]), 'linux/amd64')).rejects.toMatchObject({
      code: 'PLATFORM_NOT_FOUND',
      details: { offered: [] },
    });
  });

  it('bounds depth and number', async () => {
    const documents = new Documents();
    const nest = (depth: number) => {
      const image = { ...documents.image(amd64), platform: amd64 };
      let inner: object & { digest: Digest } = image;
      for (let level = 0; level < depth; level += 1) inner = documents.index([inner]);
      return inner;
    };
    expect((await documents.choose(nest(8), 'linux/amd64')).platform).toEqual(amd64);
    await expect(documents.choose(nest(9), 'linux/amd64')).rejects.toMatchObject({
      code: 'MANIFEST_INVALID',
    });
    const many = documents.index(Array(65).fill(documents.image(arm64)));
    await expect(documents.choose(many, 'linux/amd64')).rejects.toMatchObject({ code: 'MANIFEST_INVALID' });
  });

  it('refuses a child that is of another type than its entry says', async () => {
    const documents = new Documents();
    const image = documents.image(amd64);
    const top = documents.index([{ ...image, mediaType: MEDIA_TYPES.ociIndex, platform: amd64 }]);
    await expect(documents.choose(top, 'linux/amd64')).rejects.toMatchObject({ code: 'MANIFEST_INVALID' });
  });
});
