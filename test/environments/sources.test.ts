/** Which source is used, and why the ones before it were not. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { EnvironmentParts } from '../../src/environments/index.js';
import { supervised } from '../../src/environments/sources/supervise.js';
import { HearthError } from '../../src/errors/index.js';
import { parseDigest } from '../../src/oci/index.js';
import { startRegistry, type TestRegistry } from '../support/registry.js';
import { imageOf, layerOf, noise, pushImages, tarOf } from '../support/registry-images.js';
import { type Bench, BOOT_FILES, catalogOf, listOf, openBench, putArchive, recorder } from './support.js';

const PACKAGES = { type: 'debian-packages', suite: 'bookworm', packages: ['git'] };
const UNKNOWN_HOST = { type: 'oci', reference: 'registry.invalid/some/image:1' };

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startRegistry();
});
afterAll(() => registry.stop());

const { PATH } = process.env;
afterEach(() => {
  process.env.PATH = PATH;
});

/** Puts a program in front of all others. */
function putProgram(bench: Bench, name: string, script: string): void {
  const bin = join(bench.root, 'bin');
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(bin, name), 0o755);
  process.env.PATH = `${bin}:${PATH}`;
}

/** An mmdebstrap that notes how it was called and delivers a tar of one file. */
function putFakeMmdebstrap(bench: Bench): { calls(): string[] } {
  const tar = join(bench.root, 'fake.tar');
  const log = join(bench.root, 'calls');
  writeFileSync(tar, tarOf({ 'etc/debian_version': '12.0\n' }));
  putProgram(
    bench,
    'mmdebstrap',
    `[ "$1" = --version ] && exit 0
     printf '%s\\n' "$SOURCE_DATE_EPOCH" "$@" > '${log}'
     for target; do case "$target" in *.tar) cp '${tar}' "$target";; esac; done
     echo 'I: done' >&2`,
  );
  return { calls: () => readFileSync(log, 'utf8').trim().split('\n') };
}

describe('falling through', () => {
  it('a registry that cannot be found is passed over at once, and the result says so', async () => {
    const bench = openBench();
    const { url } = putArchive(bench, 'environment.tgz', BOOT_FILES);
    const store = await bench.open({ catalog: catalogOf([UNKNOWN_HOST, { type: 'archive', url }]) });
    const progress = recorder();
    const began = performance.now();
    const environment = await store.ensureInstalled('debian:12', progress);
    expect(performance.now() - began).toBeLessThan(60_000);
    expect(environment.source).toBe(url);
    expect(environment.installManifest.skipped_sources).toMatchObject([
      {
        source: 'oci registry.invalid/some/image:1',
        code: expect.stringMatching(/^REGISTRY_(UNAVAILABLE|TIMEOUT)$/),
      },
    ]);
    expect(
      progress.events.some(({ message }) => message?.startsWith('passed over oci registry.invalid')),
    ).toBe(true);
  });

  it('a registry that is silent is passed over within seconds', async () => {
    const sockets: Socket[] = [];
    const server = createServer((socket) => sockets.push(socket));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    try {
      const bench = openBench();
      const { url } = putArchive(bench, 'environment.tgz', BOOT_FILES);
      const silent = { type: 'oci', reference: `127.0.0.1:${port}/some/image:1` };
      const store = await bench.open({ catalog: catalogOf([silent, { type: 'archive', url }]) });
      const began = performance.now();
      const environment = await store.ensureInstalled('debian:12');
      expect(performance.now() - began).toBeLessThan(60_000);
      expect(environment.installManifest.skipped_sources).toMatchObject([{ code: 'REGISTRY_TIMEOUT' }]);
      expect(bench.entries()).toEqual(['debian_12-1.0.0']);
    } finally {
      for (const socket of sockets) socket.destroy();
      server.close();
    }
  });

  it('content that is not what it claims is never replaced by another source', async () => {
    const bench = openBench();
    const { url } = putArchive(bench, 'environment.tgz', BOOT_FILES);
    const digest = `sha256:${'0'.repeat(64)}`;
    const catalog = catalogOf([
      { type: 'archive', url, digest },
      { type: 'archive', url },
    ]);
    await expect((await bench.open({ catalog })).pull('debian:12')).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
    });
    expect(bench.entries()).toEqual([]);
  });

  it('when none works the last error has all reasons', async () => {
    const bench = openBench();
    const gone = { type: 'archive', url: 'file:///nonexistent/environment.tgz' };
    const store = await bench.open({ catalog: catalogOf([UNKNOWN_HOST, gone]) });
    await expect(store.pull('debian:12')).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
      message: expect.stringMatching(
        /no source of debian:12 could be used: oci registry\.invalid.*nonexistent/,
      ),
      details: { sources: [{ code: expect.stringMatching(/^REGISTRY/) }, { code: 'FILE_NOT_FOUND' }] },
    });
  });

  it('what a source left behind before it failed does not end up in the install', async () => {
    const bench = openBench();
    const { url } = putArchive(bench, 'environment.tgz', BOOT_FILES);
    const half = putArchive(bench, 'half.tgz', {
      vmlinux: 'of the failing source',
      initrd: 'of the failing source',
    });
    const gone = new HearthError('REGISTRY_UNAVAILABLE', 'the network went away');
    const descriptor = {
      mediaType: 'x/tar',
      digest: parseDigest(half.digest),
      sizeBytes: 0,
      annotations: {},
    };
    const sizeBytes = readFileSync(half.path).byteLength;
    const whole = {
      descriptor: { ...descriptor, sizeBytes },
      open: async () => half.path,
      available: async () => sizeBytes,
      done: Promise.resolve(),
    };
    const cut = {
      ...whole,
      open: async (): Promise<never> => {
        throw gone;
      },
    };
    const pull: EnvironmentParts['pull'] = async (_reference, { platform }) => ({
      kind: 'artifact',
      manifestDigest: descriptor.digest,
      manifest: { mediaType: 'x', config: descriptor, layers: [], annotations: {} },
      layers: [whole, cut],
      platform,
      discardDamaged: async () => false,
      [Symbol.asyncDispose]: async () => {},
    });
    const artifact = { type: 'oci', reference: 'registry.example/artifact:1' };
    const store = await bench.open({
      catalog: catalogOf([artifact, { type: 'archive', url }]),
      parts: { pull },
    });
    const environment = await store.pull('debian:12');
    expect(environment.installManifest.skipped_sources).toMatchObject([{ code: 'REGISTRY_UNAVAILABLE' }]);
    expect(readFileSync(environment.kernelPath, 'utf8')).toBe(BOOT_FILES.vmlinux);
    expect(listOf(environment.directory)).toEqual(['environment.json', 'rootfs.ext4', 'vmlinux']);
  });

  it('--source uses only that kind', async () => {
    const bench = openBench();
    const { url } = putArchive(bench, 'environment.tgz', BOOT_FILES);
    const { calls } = putFakeMmdebstrap(bench);
    const store = await bench.open({ catalog: catalogOf([{ type: 'archive', url }, PACKAGES]) });
    expect((await store.pull('debian:12', { source: 'debian-packages' })).source).toBe('debian-packages');
    expect(calls()).toContain('bookworm');
  });
});

describe('Debian packages', () => {
  it('become an image like any other, with their source named', async () => {
    const bench = openBench();
    const { calls } = putFakeMmdebstrap(bench);
    const store = await bench.open({ catalog: catalogOf([PACKAGES]) });
    const progress = recorder();
    const environment = await store.pull('debian:12', progress);
    expect(environment).toMatchObject({
      source: 'debian-packages',
      sourceDigest: expect.stringMatching(/^sha256:/),
      kernel: { name: 'debian-12-cloud' },
      imageConfig: { cmd: ['bash'], env: [expect.stringMatching(/^PATH=/)] },
    });
    expect(progress.phases()).toEqual(['resolve', 'download', 'convert', 'install', 'ready']);
    expect(calls()).toEqual(
      expect.arrayContaining(['1735689600', '--variant=minbase', '--include=git', 'bookworm']),
    );
    const again = openBench();
    putFakeMmdebstrap(again);
    const second = await (await again.open({ catalog: catalogOf([PACKAGES]) })).pull('debian:12');
    expect(second.rootfsDigest).toBe(environment.rootfsDigest);
  });

  it('without mmdebstrap say what to install', async () => {
    const bench = openBench();
    const bin = join(bench.root, 'bin');
    mkdirSync(bin);
    for (const tool of ['flock', 'cp', 'sh']) symlinkSync(`/usr/bin/${tool}`, join(bin, tool));
    process.env.PATH = bin;
    const store = await bench.open({ catalog: catalogOf([UNKNOWN_HOST, PACKAGES]) });
    await expect(store.pull('debian:12')).rejects.toMatchObject({
      code: 'TOOL_NOT_FOUND',
      message: expect.stringContaining('mmdebstrap is not installed'),
      hint: expect.stringContaining('apt-get install mmdebstrap'),
    });
    expect(bench.entries()).toEqual([]);
  });

  it.each([
    ['E: unable to pick chroot mode automatically', 'usermod --add-subuids'],
    ["W: Failed to fetch http://debian.example/  Could not resolve 'debian.example'", 'network'],
    ['E: Unable to locate package nosuch', 'package names'],
    ['tar: No space left on device', 'TMPDIR'],
    ['E: something else', 'again'],
  ])('that fail with "%s" give a hint', async (said, hint) => {
    const bench = openBench();
    putProgram(bench, 'mmdebstrap', `[ "$1" = --version ] && exit 0; echo "${said}" >&2; exit 25`);
    const store = await bench.open({ catalog: catalogOf([PACKAGES]) });
    await expect(store.pull('debian:12')).rejects.toMatchObject({
      code: 'TOOL_FAILED',
      hint: expect.stringContaining(hint),
      details: { exitCode: 25 },
    });
    expect(bench.entries()).toEqual([]);
  });

  it('a digest that is given must be that of the tar', async () => {
    const bench = openBench();
    putFakeMmdebstrap(bench);
    const digest = `sha256:${'0'.repeat(64)}`;
    const store = await bench.open({ catalog: catalogOf([{ ...PACKAGES, digest }]) });
    await expect(store.pull('debian:12')).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
      details: { expected: digest },
    });
  });

  it('a kernel that cannot be had ends the build at once', async () => {
    const bench = openBench();
    putProgram(bench, 'mmdebstrap', '[ "$1" = --version ] && exit 0; exec sleep 600');
    const store = await bench.open({ catalog: catalogOf([PACKAGES]) });
    const began = performance.now();
    await expect(store.pull('debian:12', { kernel: 'ghost' })).rejects.toMatchObject({
      code: 'KERNEL_NOT_FOUND',
    });
    expect(performance.now() - began).toBeLessThan(120_000);
  });
});

describe('the supervisor of mmdebstrap', () => {
  const PROGRAM = `trap 'echo cleaned > "$0.cleaned"; exit 1' TERM; echo > "$0.started"; while :; do sleep 0.05; done`;

  function start(bench: Bench): { readonly marker: string; readonly child: ReturnType<typeof spawn> } {
    const marker = join(bench.root, 'program');
    const [command, args] = supervised('sh', ['-c', PROGRAM, marker]);
    return { marker, child: spawn(command, args, { stdio: 'ignore', detached: true }) };
  }

  async function appears(path: string): Promise<void> {
    for (let waited = 0; !existsSync(path); waited += 20) {
      if (waited > 60_000) throw new Error(`${path} did not appear`);
      await sleep(20);
    }
  }

  it('lets it clean up when the whole process group is killed', async () => {
    const { marker, child } = start(openBench());
    await appears(`${marker}.started`);
    process.kill(-child.pid!, 'SIGKILL');
    await appears(`${marker}.cleaned`);
  });

  it('lets it clean up when whoever started it is killed', async () => {
    const bench = openBench();
    const marker = join(bench.root, 'program');
    const [command, args] = supervised('sh', ['-c', PROGRAM, marker]);
    const quoted = [command, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
    const parent = spawn('sh', ['-c', `${quoted} & wait`], { stdio: 'ignore', detached: true });
    await appears(`${marker}.started`);
    parent.kill('SIGKILL');
    await appears(`${marker}.cleaned`);
  });

  it.each([0, 1, 25])('passes on exit code %i', async (code) => {
    const [command, args] = supervised('sh', ['-c', `exit ${code}`]);
    const child = spawn(command, args, { stdio: 'ignore' });
    expect(await once(child, 'exit')).toEqual([code, null]);
  });
});

describe('images with layers of their own', () => {
  it('an image whose first layer is large and slow is not taken for an artifact', async () => {
    const bench = openBench();
    const image = imageOf([
      layerOf({ 'lib/large': noise(2 * 1024 ** 2) }, 0),
      layerOf({ 'etc/vmlinux': 'x' }),
    ]);
    await pushImages(registry, 'image', 'large', [image]);
    const store = await bench.open({ catalog: catalogOf([PACKAGES]) });
    expect((await store.pull(`${registry.host}/image:large`)).kernel?.name).toBe('debian-12-cloud');
  });
});
