import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HearthError } from '../errors/index.js';
import { digestOf } from './digest.js';
import { MAX_MANIFEST_BYTES, parseDocument, platformCandidates } from './manifest.js';
import { MEDIA_TYPES } from './media-types.js';
import { DEFAULT_PLATFORM } from './platform.js';

const digest = digestOf(new Uint8Array());
const descriptor = { mediaType: MEDIA_TYPES.ociConfig, digest, size: 2 };
const layer = { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest, size: 3 };
const manifest = {
  schemaVersion: 2,
  mediaType: MEDIA_TYPES.ociManifest,
  config: descriptor,
  layers: [layer],
};
const entry = {
  mediaType: MEDIA_TYPES.ociManifest,
  digest,
  size: 4,
  platform: { os: 'linux', architecture: 'amd64' },
};
const index = { schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [entry] };

function parse(value: unknown, mediaType?: string) {
  return parseDocument(Buffer.from(JSON.stringify(value)), mediaType);
}

describe('parseDocument', () => {
  it('reads an OCI manifest', () => {
    expect(
      parse({ ...manifest, annotations: { a: 'b' } }, `${MEDIA_TYPES.ociManifest}; charset=utf-8`),
    ).toEqual({
      kind: 'manifest',
      manifest: {
        mediaType: MEDIA_TYPES.ociManifest,
        config: { mediaType: MEDIA_TYPES.ociConfig, digest, sizeBytes: 2, annotations: {} },
        layers: [{ mediaType: layer.mediaType, digest, sizeBytes: 3, annotations: {} }],
        annotations: { a: 'b' },
      },
    });
  });

  it.each([
    ['an OCI index', index, undefined, 'index'],
    [
      'a docker manifest',
      { ...manifest, mediaType: MEDIA_TYPES.dockerManifest },
      MEDIA_TYPES.dockerManifest,
      'manifest',
    ],
    ['a docker manifest list', { ...index, mediaType: MEDIA_TYPES.dockerIndex }, undefined, 'index'],
    ['a manifest that does not state its type', { ...manifest, mediaType: undefined }, undefined, 'manifest'],
    [
      'an index that does not state its type',
      { ...index, mediaType: undefined },
      MEDIA_TYPES.ociIndex,
      'index',
    ],
    ['an index of nothing', { ...index, manifests: [] }, undefined, 'index'],
    ['a manifest without layers', { ...manifest, layers: [] }, undefined, 'manifest'],
    ['unknown fields', { ...manifest, subject: descriptor, x: { y: [1] } }, undefined, 'manifest'],
    ['the same layer twice', { ...manifest, layers: [layer, layer] }, undefined, 'manifest'],
    ['a layer of no bytes', { ...manifest, layers: [{ ...layer, size: 0 }] }, undefined, 'manifest'],
    ['null annotations', { ...manifest, annotations: null }, undefined, 'manifest'],
  ])('reads %s', (_name, value, mediaType, kind) => {
    expect(parse(value, mediaType).kind).toBe(kind);
  });

  const layers = (change: object) => ({ ...manifest, layers: [{ ...layer, ...change }] });
  it.each<[name: string, value: unknown, mediaType?: string]>([
    ['a manifest that is an index, too (CVE-2021-41190)', { ...manifest, manifests: [entry] }],
    ['an index that is a manifest, too', { ...index, layers: [layer] }],
    ['an index with a config', { ...index, config: descriptor }],
    ['both without a type', { ...manifest, ...index, mediaType: undefined }],
    ['a manifest announced as an index', manifest, MEDIA_TYPES.ociIndex],
    ['an index announced as a manifest', index, MEDIA_TYPES.ociManifest],
    ['a docker type announced as an OCI one', manifest, MEDIA_TYPES.dockerManifest],
    [
      'an untyped manifest announced as an index',
      { ...manifest, mediaType: undefined },
      MEDIA_TYPES.ociIndex,
    ],
    ['an array', []],
    ['null', null],
    ['a number', 1],
    ['no schemaVersion', { ...manifest, schemaVersion: undefined }],
    ['schemaVersion 3', { ...manifest, schemaVersion: 3 }],
    ['schemaVersion "2"', { ...manifest, schemaVersion: '2' }],
    ['no config', { ...manifest, config: undefined }],
    ['no layers', { ...manifest, layers: undefined }],
    ['layers as an object', { ...manifest, layers: {} }],
    ['a null layer', { ...manifest, layers: [null] }],
    ['a negative size', layers({ size: -1 })],
    ['a size of 2^53', layers({ size: 2 ** 53 })],
    ['a size of 2^47', layers({ size: 2 ** 47 })],
    ['a fraction as size', layers({ size: 1.5 })],
    ['a size as text', layers({ size: '3' })],
    ['no size', layers({ size: undefined })],
    ['no digest', layers({ digest: undefined })],
    ['a digest with a path', layers({ digest: 'sha256:../../../etc/passwd' })],
    ['a media type with NUL', layers({ mediaType: 'a\0b' })],
    ['urls that are no texts', layers({ urls: [1] })],
    ['annotations that are no texts', { ...manifest, annotations: { a: 1 } }],
    ['too many layers', { ...manifest, layers: Array(1001).fill(layer) }],
    ['too many manifests', { ...index, manifests: Array(4097).fill(entry) }],
    ['a platform without architecture', { ...index, manifests: [{ ...entry, platform: { os: 'linux' } }] }],
  ])('refuses %s', (_name, value, mediaType) => {
    expect(() => parse(value, mediaType)).toThrow(expect.objectContaining({ code: 'MANIFEST_INVALID' }));
  });

  it.each<[name: string, value: unknown, mediaType?: string]>([
    ['schema 1', { schemaVersion: 1, fsLayers: [], history: [] }],
    ['schema 1 announced', { schemaVersion: 1 }, 'application/vnd.docker.distribution.manifest.v1+prettyjws'],
    ['another type inside', { ...manifest, mediaType: 'application/vnd.oci.artifact.manifest.v1+json' }],
    ['another type outside', manifest, 'application/vnd.example+json'],
  ])('does not support %s', (_name, value, mediaType) => {
    expect(() => parse(value, mediaType)).toThrow(
      expect.objectContaining({ code: 'MEDIA_TYPE_UNSUPPORTED' }),
    );
  });

  it.each<[name: string, bytes: Buffer]>([
    ['nothing', Buffer.alloc(0)],
    ['text that is not JSON', Buffer.from('<html>')],
    [
      'bytes that are not UTF-8',
      Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xff]), Buffer.from('"}')]),
    ],
    ['five million nested arrays', Buffer.from('['.repeat(5_000_000))],
    ['65 nested objects', Buffer.from(`${'{"a":'.repeat(65)}1${'}'.repeat(65)}`)],
  ])('refuses %s', (_name, bytes) => {
    expect(() => parseDocument(bytes)).toThrow(expect.objectContaining({ code: 'MANIFEST_INVALID' }));
  });

  it('refuses valid JSON that nests deeper than 64 levels', () => {
    const nested = (levels: number): unknown => JSON.parse('['.repeat(levels) + ']'.repeat(levels));
    expect(parse({ ...manifest, x: nested(63) }).kind).toBe('manifest');
    expect(() => parse({ ...manifest, x: nested(64) })).toThrow(
      expect.objectContaining({ code: 'MANIFEST_INVALID' }),
    );
  });

  it('does not count brackets in strings', () => {
    expect(parse({ ...manifest, annotations: { a: `${'['.repeat(200)}"\\"{` } }).kind).toBe('manifest');
  });

  it('reads 8 MiB and not a byte more', () => {
    const text = JSON.stringify(manifest);
    const full = Buffer.from(text + ' '.repeat(MAX_MANIFEST_BYTES - text.length));
    expect(parseDocument(full).kind).toBe('manifest');
    expect(() => parseDocument(Buffer.concat([full, Buffer.from(' ')]))).toThrow(
      expect.objectContaining({
        code: 'MANIFEST_TOO_LARGE',
        details: expect.objectContaining({ sizeBytes: MAX_MANIFEST_BYTES + 1 }),
      }),
    );
  });

  it('keeps keys that are names of object internals harmless', () => {
    const text = JSON.stringify(manifest).replace('{', '{"annotations":{"__proto__":"x","constructor":"y"},');
    const parsed = parseDocument(Buffer.from(text));
    if (parsed.kind !== 'manifest') throw new Error('not a manifest');
    expect(Object.keys(parsed.manifest.annotations).sort()).toEqual(['__proto__', 'constructor']);
    expect(({} as Record<string, unknown>).x).toBeUndefined();
  });

  it('throws only coded errors, whatever is changed in a document', () => {
    const codes = ['MANIFEST_INVALID', 'MEDIA_TYPE_UNSUPPORTED', 'MANIFEST_TOO_LARGE'];
    const base = fc.constantFrom(manifest, index);
    const key = fc.constantFrom('schemaVersion', 'mediaType', 'config', 'layers', 'manifests', 'annotations');
    fc.assert(
      fc.property(base, key, fc.jsonValue(), (document, name, value) => {
        try {
          parse({ ...document, [name]: value });
        } catch (error) {
          expect(HearthError.is(error) && codes.includes(error.code)).toBe(true);
        }
      }),
      { numRuns: 2000 },
    );
    const text = Buffer.from(JSON.stringify(manifest));
    fc.assert(
      fc.property(fc.nat(text.byteLength - 1), fc.nat(255), (at, byte) => {
        const bytes = Buffer.from(text);
        bytes[at] = byte;
        try {
          parseDocument(bytes);
        } catch (error) {
          expect(HearthError.is(error) && codes.includes(error.code)).toBe(true);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('platformCandidates', () => {
  const of = (
    os: string,
    architecture: string,
    variant?: string,
    mediaType: string = MEDIA_TYPES.ociManifest,
  ) => ({
    mediaType,
    digest,
    size: 1,
    platform: { os, architecture, variant },
  });
  it('puts the nearest first, then what states no platform, and leaves the rest out', () => {
    const parsed = parse({
      ...index,
      manifests: [
        of('linux', 'arm64'),
        { ...entry, platform: undefined },
        of('unknown', 'unknown'),
        of('linux', 'amd64', 'v1'),
        of('linux', 'amd64', 'v3'),
        of('linux', 'amd64', undefined, 'application/vnd.example+json'),
        of('linux', 'amd64', 'v2'),
      ],
    });
    if (parsed.kind !== 'index') throw new Error('not an index');
    const found = (variant?: string) =>
      platformCandidates(parsed.index, {
        ...DEFAULT_PLATFORM,
        ...(variant === undefined ? {} : { variant }),
      }).map(
        (candidate) => candidate.platform?.variant ?? (candidate.platform === undefined ? 'unstated' : 'v1'),
      );
    expect(found()).toEqual(['v1', 'unstated']);
    expect(found('v2')).toEqual(['v2', 'v1', 'unstated']);
    expect(found('v4')).toEqual(['v3', 'v2', 'v1', 'unstated']);
  });
});
