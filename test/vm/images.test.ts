/** `hearth run` with images of a real registry: what is fetched, what the image's configuration does, what can go wrong. */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxImage } from '../support/busybox-image.js';
import { type CliOptions, freshHome, hearth, jsonOf } from '../support/cli.js';
import { REGISTRY_LOGIN, startRegistry, type TestRegistry } from '../support/registry.js';
import { pushImages } from '../support/registry-images.js';

let home: string;
let registry: TestRegistry;

beforeAll(async () => {
  home = await freshHome();
  registry = await startRegistry();
  await pushImages(registry, 'tools/busybox', 'v1', [busyboxImage()]);
  const configured = busyboxImage({
    Entrypoint: ['/bin/echo', 'entry'],
    Cmd: ['cmd'],
    Env: ['COLOR=blue', 'PATH=/bin'],
    WorkingDir: '/app',
    User: 'app',
  });
  await pushImages(registry, 'tools/configured', 'v1', [configured]);
});
afterAll(async () => {
  await registry?.stop();
  await rm(home, { recursive: true, force: true });
});

const run = (args: readonly string[], options: CliOptions = {}) =>
  hearth(['run', ...args], { home, ...options });

describe('an image of a registry', () => {
  it('runs at once, and a second time without any request or conversion', async () => {
    const image = `${registry.host}/tools/busybox:v1`;
    const first = await run([image, '--', 'echo', 'hello']);
    expect(first.stderr).toBe('');
    expect(first.stdout.toString()).toBe('hello\n');
    expect(registry.requests().filter((line) => line.includes('/blobs/')).length).toBeGreaterThan(0);

    registry.forget();
    const again = jsonOf(await run(['--json', image, 'echo', 'again']));
    expect(again).toMatchObject({ stdout: 'again\n', environment: 'busybox-v1' });
    expect(registry.requests()).toEqual([]);
    expect(String(again.source)).toContain(`oci://${registry.host}/tools/busybox@sha256:`);
  });

  it("follows the image's configuration, and the options above it", async () => {
    const image = `${registry.host}/tools/configured:v1`;
    expect((await run([image])).stdout.toString()).toBe('entry cmd\n');
    expect((await run([image, 'mine'])).stdout.toString()).toBe('entry mine\n');
    const script = 'pwd; id -un; echo $COLOR $MORE';
    const args = ['--entrypoint', 'sh', '-e', 'MORE=red', image, '-c', script];
    expect((await run(args)).stdout.toString()).toBe('/app\napp\nblue red\n');
    const over = ['--entrypoint', 'sh', '-u', 'root', '-w', '/tmp', '-e', 'COLOR=red', image, '-c', script];
    expect((await run(over)).stdout.toString()).toBe('/tmp\nroot\nred\n');
  });

  it('can be built into a file that is the same every time', async () => {
    const outputs = ['a.ext4', 'b.ext4'].map((name) => join(home, name));
    const digests = [];
    for (const output of outputs) {
      const result = await hearth(
        ['rootfs', 'build', `${registry.host}/tools/busybox:v1`, '-o', output, '--json'],
        { home },
      );
      expect(result.stderr).toBe('');
      digests.push(jsonOf(result).digest);
    }
    expect(digests[0]).toBe(digests[1]);
    const wrong = `ext4-sha256:${'0'.repeat(64)}`;
    const args = [
      'rootfs',
      'build',
      `${registry.host}/tools/busybox:v1`,
      '-o',
      join(home, 'c.ext4'),
      '--verify',
    ];
    expect((await hearth([...args, wrong], { home })).stderr).toContain('error[ROOTFS_DIGEST_MISMATCH]');
    expect((await readdir(home)).filter((name) => name.startsWith('c.ext4'))).toEqual([]);
    expect((await hearth([...args, String(digests[0])], { home })).exitCode).toBe(0);
    expect((await readdir(home)).filter((name) => name.startsWith('c.ext4'))).toEqual(['c.ext4']);
    expect((await hearth(['rootfs', 'verify', outputs[0]!, String(digests[0])], { home })).exitCode).toBe(0);
  });
});

describe('a registry with a password', () => {
  let locked: TestRegistry;
  let dockerConfig: string;

  beforeAll(async () => {
    locked = await startRegistry({ auth: true });
    dockerConfig = await mkdtemp(join(tmpdir(), 'hearth-docker-'));
    await pushImages(locked, 'private/busybox', 'v1', [busyboxImage()]);
  });
  afterAll(async () => {
    await locked?.stop();
    await rm(dockerConfig, { recursive: true, force: true });
  });

  const login = async (password: string): Promise<CliOptions> => {
    const auth = Buffer.from(`${REGISTRY_LOGIN.username}:${password}`).toString('base64');
    await writeFile(
      join(dockerConfig, 'config.json'),
      JSON.stringify({ auths: { [locked.host]: { auth } } }),
    );
    return { env: { DOCKER_CONFIG: dockerConfig } };
  };

  it('takes the password of ~/.docker/config.json, and refuses a wrong one', async () => {
    const image = `${locked.host}/private/busybox:v1`;
    const refused = await run([image, 'true'], await login('wrong'));
    expect(refused.stderr).toMatch(/^error\[REGISTRY_(?:UNAUTHORIZED|DENIED)\]/);
    expect(refused.stderr).not.toContain('wrong');
    expect(refused.exitCode).toBe(125);
    const accepted = await run([image, 'echo', 'in'], await login(REGISTRY_LOGIN.password));
    expect(accepted.stdout.toString()).toBe('in\n');
  });
});

describe('what can go wrong with a registry', () => {
  it.each([
    ['it is down', '127.0.0.1:9/x/y:z', 'REGISTRY_UNAVAILABLE'],
    ['no such tag', 'REGISTRY/tools/busybox:none', 'MANIFEST_UNKNOWN'],
    ['no such repository', 'REGISTRY/no/such:v1', 'MANIFEST_UNKNOWN'],
  ])('%s: a code, exit 125, nothing left behind', async (_name, image, code) => {
    const result = await run([image.replace('REGISTRY', registry.host), 'true']);
    expect(result.stderr).toContain(`error[${code}]`);
    expect(result.stderr).toContain('\nhint: ');
    expect(result.exitCode).toBe(125);
    const installs = await readdir(join(home, 'data/environments/linux-x86_64')).catch(() => []);
    expect(installs.filter((name) => name.startsWith('.partial'))).toEqual([]);
  });
});
