import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeInstallManifest, parseInstallManifest } from './install-manifest.js';

const OLD = {
  catalog_version: '2.0.1',
  name: 'debian:12',
  version: '1.0.0',
  source: 'bundled-runtime-source',
  source_digest: null,
  installed_at: 1_700_000_000.5,
};

function parse(document: unknown): ReturnType<typeof parseInstallManifest> {
  return parseInstallManifest(JSON.stringify(document));
}

describe('parseInstallManifest', () => {
  it('reads the six fields of old writers and fills in the rest', () => {
    const reading = parse(OLD);
    expect(reading).toMatchObject({
      ok: true,
      manifest: { origin: 'catalog', artifacts: {}, generation: 0 },
    });
    if (reading.ok) expect(parseInstallManifest(encodeInstallManifest(reading.manifest))).toEqual(reading);
  });

  it('ignores fields that it does not know, as older versions have to', () => {
    expect(parse({ ...OLD, added_later: 1 })).toMatchObject({ ok: true });
  });

  const malformed: [string, unknown][] = [
    ['a number as name', { ...OLD, name: 1 }],
    ['a name that is no name', { ...OLD, name: '../x' }],
    ['a number as version', { ...OLD, version: 2 }],
    ['no catalog version', { ...OLD, catalog_version: undefined }],
    ['a digest that is none', { ...OLD, source_digest: 'x' }],
    ['a newer schema', { ...OLD, schema_version: 2 }],
    [
      'a negative size',
      {
        ...OLD,
        artifacts: { vmlinux: { digest: `sha256:${'0'.repeat(64)}`, size_bytes: -1, mtime_ns: '0' } },
      },
    ],
    ['null', null],
    ['an array', []],
    ['a text', 'x'],
  ];
  it.each(malformed)('calls %s invalid', (_name, document) => {
    expect(parse(document)).toMatchObject({ ok: false, problem: 'invalid' });
  });

  it('never throws, whatever the file holds', () => {
    fc.assert(fc.property(fc.string(), (text) => typeof parseInstallManifest(text).ok === 'boolean'));
    fc.assert(fc.property(fc.json(), (text) => typeof parseInstallManifest(text).ok === 'boolean'));
  });
});
