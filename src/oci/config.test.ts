import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HearthError } from '../errors/index.js';
import { parseImageConfig } from './config.js';
import { digestOf } from './digest.js';
import { assertConfigFits, assertImageManifest, configSuits } from './image-parts.js';
import { MAX_MANIFEST_BYTES, type Manifest } from './manifest.js';
import { MEDIA_TYPES } from './media-types.js';

const diffId = digestOf(new Uint8Array());
const rootfs = { type: 'layers', diff_ids: [diffId] };
const minimal = { os: 'linux', architecture: 'amd64', rootfs };

function parse(value: unknown) {
  return parseImageConfig(Buffer.from(JSON.stringify(value)));
}

describe('parseImageConfig', () => {
  it('reads all that a guest needs', () => {
    const config = {
      Env: ['PATH=/bin', 'A='],
      WorkingDir: '/srv',
      User: '1000:1000',
      Entrypoint: ['/entry'],
      Cmd: ['a', ''],
      Labels: { a: 'b' },
      ExposedPorts: { '80/tcp': {}, '53/udp': {} },
      Volumes: { '/data': {} },
      StopSignal: 'SIGINT',
      Healthcheck: { Test: ['NONE'] },
    };
    expect(parse({ ...minimal, variant: 'v2', created: '2024-01-01T00:00:00Z', config })).toEqual({
      os: 'linux',
      architecture: 'amd64',
      variant: 'v2',
      created: '2024-01-01T00:00:00Z',
      env: ['PATH=/bin', 'A='],
      workingDir: '/srv',
      user: '1000:1000',
      entrypoint: ['/entry'],
      cmd: ['a', ''],
      labels: { a: 'b' },
      exposedPorts: ['80/tcp', '53/udp'],
      volumes: ['/data'],
      stopSignal: 'SIGINT',
      rootfs: { diffIds: [diffId] },
    });
  });

  it('fills in what is absent or null', () => {
    const empty = {
      env: [],
      workingDir: '',
      user: '',
      entrypoint: [],
      cmd: [],
      labels: {},
      exposedPorts: [],
    };
    expect(parse(minimal)).toMatchObject(empty);
    expect(parse({ ...minimal, config: null })).toMatchObject(empty);
    const nulls = { Env: null, Entrypoint: null, Cmd: null, Labels: null, ExposedPorts: null, User: null };
    expect(parse({ ...minimal, config: nulls })).toMatchObject(empty);
    expect(parse({ rootfs: { type: 'layers', diff_ids: null } })).toMatchObject({
      os: '',
      rootfs: { diffIds: [] },
    });
  });

  it.each<[name: string, value: unknown]>([
    ['an array', []],
    ['no rootfs', { os: 'linux' }],
    ['a rootfs of another type', { rootfs: { type: 'x', diff_ids: [] } }],
    ['a rootfs that is a text', { rootfs: 'layers' }],
    ['a diffID that is none', { rootfs: { type: 'layers', diff_ids: ['sha256:1'] } }],
    ['diffIDs that are a map', { rootfs: { type: 'layers', diff_ids: {} } }],
    ['1001 diffIDs', { rootfs: { type: 'layers', diff_ids: Array(1001).fill(diffId) } }],
    ['Env as a map', { ...minimal, config: { Env: {} } }],
    ['Env of numbers', { ...minimal, config: { Env: [1] } }],
    ['Env with NUL', { ...minimal, config: { Env: ['A=\0'] } }],
    ['an Env entry of 128 KiB + 1', { ...minimal, config: { Env: ['a'.repeat(128 * 1024 + 1)] } }],
    ['10001 Env entries', { ...minimal, config: { Env: Array(10_001).fill('A=B') } }],
    ['Cmd as a text', { ...minimal, config: { Cmd: 'sh' } }],
    ['User as a number', { ...minimal, config: { User: 0 } }],
    ['Labels of numbers', { ...minimal, config: { Labels: { a: 1 } } }],
    ['ExposedPorts as an array', { ...minimal, config: { ExposedPorts: ['80'] } }],
    ['config as an array', { ...minimal, config: [] }],
    ['os as a number', { ...minimal, os: 1 }],
  ])('refuses %s', (_name, value) => {
    expect(() => parse(value)).toThrow(expect.objectContaining({ code: 'IMAGE_CONFIG_INVALID' }));
  });

  it('refuses more than 8 MiB', () => {
    expect(() => parseImageConfig(Buffer.alloc(MAX_MANIFEST_BYTES + 1, ' '))).toThrow(
      expect.objectContaining({ code: 'IMAGE_CONFIG_INVALID' }),
    );
  });

  it('throws only its own error, whatever is changed', () => {
    const key = fc.constantFrom('Env', 'Cmd', 'Entrypoint', 'User', 'WorkingDir', 'Labels', 'ExposedPorts');
    fc.assert(
      fc.property(key, fc.jsonValue(), (name, value) => {
        try {
          parse({ ...minimal, config: { [name]: value } });
        } catch (error) {
          expect(HearthError.is(error) && error.code).toBe('IMAGE_CONFIG_INVALID');
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('an image as a whole', () => {
  const descriptor = {
    mediaType: MEDIA_TYPES.ociConfig as string,
    digest: diffId,
    sizeBytes: 1,
    annotations: {},
  };
  const layer = { ...descriptor, mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip' };
  const manifest: Manifest = {
    mediaType: MEDIA_TYPES.ociManifest,
    config: descriptor,
    layers: [layer],
    annotations: {},
  };

  it('needs a diffID for each layer', () => {
    assertConfigFits(manifest, parse(minimal));
    expect(() => assertConfigFits({ ...manifest, layers: [] }, parse(minimal))).toThrow(
      expect.objectContaining({ code: 'IMAGE_CONFIG_INVALID', details: { diffIdCount: 1, layerCount: 0 } }),
    );
  });

  const ofLayer = (mediaType: string): Manifest => ({ ...manifest, layers: [{ ...layer, mediaType }] });
  it.each([
    'application/vnd.oci.image.layer.v1.tar',
    'application/vnd.oci.image.layer.v1.tar+zstd',
    'application/vnd.docker.image.rootfs.diff.tar.gzip',
  ])('may have layers of %s', (mediaType) => {
    assertImageManifest(ofLayer(mediaType));
  });

  it.each<[manifest: Manifest, code: string]>([
    [ofLayer('application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'), 'LAYER_FOREIGN'],
    [ofLayer('application/vnd.oci.image.layer.nondistributable.v1.tar+gzip'), 'LAYER_FOREIGN'],
    [ofLayer('application/vnd.oci.image.layer.v1.tar+gzip+encrypted'), 'MEDIA_TYPE_UNSUPPORTED'],
    [ofLayer('constructor'), 'MEDIA_TYPE_UNSUPPORTED'],
    [
      { ...manifest, config: { ...descriptor, mediaType: 'application/vnd.oci.empty.v1+json' } },
      'MEDIA_TYPE_UNSUPPORTED',
    ],
    [{ ...manifest, config: { ...descriptor, sizeBytes: MAX_MANIFEST_BYTES + 1 } }, 'MANIFEST_TOO_LARGE'],
  ])('is refused otherwise: %#', (bad, code) => {
    expect(() => assertImageManifest(bad)).toThrow(expect.objectContaining({ code }));
  });

  it('suits the platform that its config states, or any when it states none', () => {
    expect(configSuits(parse(minimal), { os: 'linux', architecture: 'amd64' })).toBe(true);
    expect(configSuits(parse(minimal), { os: 'linux', architecture: 'arm64' })).toBe(false);
    expect(configSuits(parse({ rootfs }), { os: 'linux', architecture: 'arm64' })).toBe(true);
  });
});
