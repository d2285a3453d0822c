import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildRootfs, openArchiveImage } from '../../src/rootfs/index.js';
import { assertClean, linesOf, readWithDebugfs, run } from '../conformance/image-to-ext4/read-back.js';
import { sha256 } from './support/image-builder.js';
import { writeLayout } from './support/oci-layout.js';
import { dir, type EntrySpec, file, hardlink, symlink, tar, whiteout } from './support/tar-builder.js';

let directory: string;
let layout: string;
const tars = [
  tar(dir('d'), file('d/a', 'lower'), file('b', 'x'.repeat(70_000))),
  tar(file('d/a', 'upper'), whiteout('b'), file('c')),
];
const lines = ['/c =  #0', '/d/', '/d/a = upper #1'];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hearth-archives-'));
  process.env.TMPDIR = directory;
  layout = join(directory, 'layout');
  writeLayout(layout, tars);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function expectImage(path: string, name?: string): Promise<void> {
  const outputPath = join(directory, 'rootfs.ext4');
  await using image = await openArchiveImage(path, name === undefined ? {} : { name });
  await buildRootfs(image, { outputPath, sizeBytes: 32 * 1024 ** 2 });
  assertClean(outputPath);
  expect(linesOf(readWithDebugfs(outputPath))).toEqual(lines);
}

async function archive(name: string, ...entries: EntrySpec[]): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, tar(...entries));
  return path;
}

const config = (diffIds: readonly string[], architecture = 'amd64'): string =>
  JSON.stringify({ os: 'linux', architecture, rootfs: { type: 'layers', diff_ids: diffIds } });
const diffIds = tars.map(sha256);
const manifestJson = (layers: readonly string[], tags: readonly string[] | null = ['debian:12']): string =>
  JSON.stringify([{ Config: 'config.json', RepoTags: tags, Layers: layers }]);

describe('openArchiveImage', () => {
  it('opens what skopeo writes: oci-archive and docker-archive, also compressed as a whole', async () => {
    const oci = join(directory, 'image.oci');
    const docker = join(directory, 'image.docker');
    run('skopeo', ['copy', '-q', `oci:${layout}:image`, `oci-archive:${oci}:some/name:1`]);
    run('skopeo', ['copy', '-q', `oci:${layout}:image`, `docker-archive:${docker}:some/name:1`]);
    run('gzip', ['-k', docker]);
    for (const path of [oci, docker, `${docker}.gz`]) await expectImage(path);
    await expectImage(oci, 'some/name:1');
    await expectImage(docker, 'docker.io/some/name:1');
    await expectImage(docker, '1');
    await using first = await openArchiveImage(docker);
    await using second = await openArchiveImage(`${docker}.gz`);
    expect(first.manifestDigest).toBe(second.manifestDigest);
    expect((await readdir(tmpdir())).filter((name) => name.startsWith('hearth-archive-'))).toHaveLength(1);
  });

  it('leaves no temporary file behind', async () => {
    expect((await readdir(tmpdir())).filter((name) => name.startsWith('hearth-archive-'))).toEqual([]);
  });

  it('follows the links that older Dockers save instead of a layer again', async () => {
    const layer0 = file('x/layer.tar', tars[0] ?? '');
    const layer1 = file('z/layer.tar', tars[1] ?? '');
    const rest = [
      file('config.json', config(diffIds)),
      file('manifest.json', manifestJson(['y/layer.tar', 'w/layer.tar'])),
    ];
    await expectImage(
      await archive(
        'links',
        layer0,
        layer1,
        symlink('y/layer.tar', '../x/layer.tar'),
        hardlink('w/layer.tar', 'z/layer.tar'),
        ...rest,
      ),
    );
  });

  it('reads layers of a docker-archive that are compressed', async () => {
    const layers = tars.map((bytes, i) => file(`${i}.tar`, gzipSync(bytes)));
    const rest = [
      file('config.json', config(diffIds)),
      file('manifest.json', manifestJson(['0.tar', '1.tar'], null)),
    ];
    await expectImage(await archive('packed', ...rest, ...layers));
  });

  const layers = tars.map((bytes, i) => file(`${i}.tar`, bytes));
  const good = [
    ...layers,
    file('config.json', config(diffIds)),
    file('manifest.json', manifestJson(['0.tar', '1.tar'])),
  ];
  const refusals: ReadonlyArray<[what: string, entries: EntrySpec[], code: string, name?: string]> = [
    ['an archive of something else', [file('hello', 'x')], 'MANIFEST_UNKNOWN'],
    ['a name that is not there', good, 'MANIFEST_UNKNOWN', 'debian:13'],
    ['a missing layer', good.slice(1), 'BLOB_UNKNOWN'],
    ['a missing config', good.filter(({ path }) => path !== 'config.json'), 'BLOB_UNKNOWN'],
    ['a manifest that is no JSON', [file('manifest.json', '{')], 'MANIFEST_INVALID'],
    ['a manifest without layers', [file('manifest.json', '[{"Config":"c"}]')], 'MANIFEST_INVALID'],
    [
      'a manifest that is too large',
      [file('manifest.json', Buffer.alloc(9 * 1024 ** 2))],
      'MANIFEST_TOO_LARGE',
    ],
    [
      'more layers than diffIDs',
      [
        ...layers,
        file('config.json', config(diffIds.slice(1))),
        file('manifest.json', manifestJson(['0.tar', '1.tar'])),
      ],
      'IMAGE_CONFIG_INVALID',
    ],
    [
      'another platform',
      [
        ...layers,
        file('config.json', config(diffIds, 'arm64')),
        file('manifest.json', manifestJson(['0.tar', '1.tar'])),
      ],
      'PLATFORM_NOT_FOUND',
    ],
    [
      'two images without a choice',
      [
        ...layers,
        file('config.json', config(diffIds)),
        file(
          'manifest.json',
          JSON.stringify([1, 2].map(() => ({ Config: 'config.json', Layers: ['0.tar', '1.tar'] }))),
        ),
      ],
      'MANIFEST_UNKNOWN',
    ],
    [
      'an OCI layout without its blobs',
      [
        file('oci-layout', '{}'),
        file(
          'index.json',
          JSON.stringify({
            schemaVersion: 2,
            manifests: [
              { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: diffIds[0], size: 5 },
            ],
          }),
        ),
      ],
      'BLOB_UNKNOWN',
    ],
  ];
  it.each(refusals)('refuses %s', async (what, entries, code, name) => {
    const path = await archive(what, ...entries);
    await expect(openArchiveImage(path, name === undefined ? {} : { name })).rejects.toMatchObject({ code });
  });

  it('refuses files that are no archives, and cut ones', async () => {
    const path = join(directory, 'file');
    await writeFile(path, Buffer.alloc(5000, 'no tar'));
    await expect(openArchiveImage(path)).rejects.toMatchObject({ code: 'TAR_INVALID' });
    await writeFile(path, tar(...good).subarray(0, 20_000));
    await expect(openArchiveImage(path)).rejects.toMatchObject({ code: 'TAR_TRUNCATED' });
    await writeFile(path, gzipSync(tar(...good)).subarray(0, 200));
    await expect(openArchiveImage(path)).rejects.toMatchObject({ code: 'COMPRESSION_INVALID' });
    await expect(openArchiveImage(join(directory, 'none'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });

  it('finds out blobs of an oci-archive that are not what they are named', async () => {
    const other = join(directory, 'damaged');
    writeLayout(other, tars);
    const hex = (diffIds[0] ?? '').slice('sha256:'.length);
    const blob = Buffer.from(tars[0] ?? '');
    blob[600] = (blob[600] ?? 0) ^ 1;
    await writeFile(join(other, 'blobs', 'sha256', hex), blob);
    const path = join(directory, 'damaged.tar');
    run('tar', ['-C', other, '-cf', path, '.']);
    await using image = await openArchiveImage(path);
    const outputPath = join(directory, 'damaged.ext4');
    await expect(buildRootfs(image, { outputPath })).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  });
});
