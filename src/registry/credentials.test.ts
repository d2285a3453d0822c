import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findCredentials } from './credentials.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hearth-credentials-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const encode = (text: string): string => Buffer.from(text).toString('base64');
const password = (username: string, secret: string) => ({ kind: 'password', username, password: secret });

async function withConfig(config: unknown, registry = 'r.example', repository = 'team/app') {
  await writeFile(
    join(directory, 'config.json'),
    typeof config === 'string' ? config : JSON.stringify(config),
  );
  const env = { DOCKER_CONFIG: directory, PATH: `${directory}:${process.env.PATH}` };
  return findCredentials(registry, repository, env);
}

/** A credential helper that answers by a shell script with the asked host in $host. */
async function putHelper(name: string, script: string): Promise<void> {
  const path = join(directory, `docker-credential-${name}`);
  await writeFile(path, `#!/bin/sh\nhost=$(cat)\n${script}\n`);
  await chmod(path, 0o755);
}

describe('findCredentials in auths', () => {
  it.each<[name: string, key: string, registry: string]>([
    ['a host', 'r.example', 'r.example'],
    ['a host with port', 'r.example:5000', 'r.example:5000'],
    ['a URL', 'https://r.example', 'r.example'],
    ['a URL with a version', 'https://r.example/v2/', 'r.example'],
    ['Docker Hub by its old URL', 'https://index.docker.io/v1/', 'docker.io'],
    ['Docker Hub by name', 'docker.io', 'docker.io'],
    ['capitals', 'R.Example', 'r.example'],
    ['a namespace (Podman)', 'r.example/team', 'r.example'],
    ['a repository (Podman)', 'r.example/team/app', 'r.example'],
  ])('by %s', async (_name, key, registry) => {
    expect(await withConfig({ auths: { [key]: { auth: encode('me:s:e:c') } } }, registry)).toEqual(
      password('me', 's:e:c'),
    );
  });

  it.each<[name: string, key: string, registry: string]>([
    ['another host', 'other.example', 'r.example'],
    ['another port', 'r.example:5000', 'r.example'],
    ['a longer host', 'r.example.evil', 'r.example'],
    ['another namespace', 'r.example/other', 'r.example'],
    ['the start of a name', 'r.example/tea', 'r.example'],
  ])('not by %s', async (_name, key, registry) => {
    expect(await withConfig({ auths: { [key]: { auth: encode('me:pw') } } }, registry)).toBeUndefined();
  });

  it('prefers the most specific name', async () => {
    const auths = { 'r.example': { auth: encode('a:1') }, 'r.example/team': { auth: encode('b:2') } };
    expect(await withConfig({ auths })).toEqual(password('b', '2'));
  });

  it.each<[entry: object, expected: unknown]>([
    [
      { identitytoken: 't', auth: encode('me:pw') },
      { kind: 'identityToken', token: 't' },
    ],
    [{ registrytoken: 't' }, { kind: 'registryToken', token: 't' }],
    [{ username: 'me', password: 'pw' }, password('me', 'pw')],
    [{ auth: encode('me:pw\0\0') }, password('me', 'pw')],
    [{ auth: encode('me:') }, password('me', '')],
    [{ auth: encode('nocolon') }, undefined],
    [{ auth: '!!!' }, undefined],
    [{ auth: 1 }, undefined],
    [{}, undefined],
  ])('reads %j', async (entry, expected) => {
    expect(await withConfig({ auths: { 'r.example': entry } })).toEqual(expected);
  });

  it.each(['', '[]', 'null', '{"auths":[]}', '{"auths":{"r.example":null}}'])(
    'finds nothing in %j',
    async (text) => {
      expect(await withConfig(text)).toBeUndefined();
    },
  );

  it('names a file that is not JSON without quoting it', async () => {
    const failure = withConfig('{"auths":{"r.example":{"auth":"hunter2');
    await expect(failure).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await failure.catch((error: unknown) =>
      expect(String(error) + JSON.stringify(error)).not.toContain('hunter2'),
    );
  });
});

describe('findCredentials across files', () => {
  it('looks at REGISTRY_AUTH_FILE, then Docker, then Podman', async () => {
    const put = async (path: string, user: string): Promise<void> => {
      await mkdir(join(path, '..'), { recursive: true });
      await writeFile(path, JSON.stringify({ auths: { 'r.example': { auth: encode(`${user}:x`) } } }));
    };
    const env = { HOME: directory, XDG_RUNTIME_DIR: join(directory, 'run') };
    const found = async (more: object = {}) => findCredentials('r.example', 'a', { ...env, ...more });
    expect(await found()).toBeUndefined();
    await put(join(directory, 'run', 'containers', 'auth.json'), 'podman');
    expect(await found()).toMatchObject({ username: 'podman' });
    await put(join(directory, '.docker', 'config.json'), 'docker');
    expect(await found()).toMatchObject({ username: 'docker' });
    expect(await found({ DOCKER_CONFIG: join(directory, 'elsewhere') })).toMatchObject({
      username: 'podman',
    });
    await put(join(directory, 'auth.json'), 'explicit');
    expect(await found({ REGISTRY_AUTH_FILE: join(directory, 'auth.json') })).toMatchObject({
      username: 'explicit',
    });
  });
});

describe('findCredentials with helpers', () => {
  const answer = `printf '{"ServerURL":"%s","Username":"me","Secret":"of-%s"}' "$host" "$host"`;

  it('asks the helper of the host, or the store', async () => {
    await putHelper('one', answer);
    await putHelper('two', answer.replace('"me"', '"you"'));
    const config = { credHelpers: { 'r.example': 'one' }, credsStore: 'two' };
    expect(await withConfig(config)).toEqual(password('me', 'of-r.example'));
    expect(await withConfig(config, 'docker.io')).toEqual(password('you', 'of-https://index.docker.io/v1/'));
  });

  it('takes the user name <token> for a refresh token', async () => {
    await putHelper('one', `printf '{"Username":"<token>","Secret":"t"}'`);
    expect(await withConfig({ credsStore: 'one' })).toEqual({ kind: 'identityToken', token: 't' });
  });

  it('goes on with auths when the store knows nothing or is gone', async () => {
    await putHelper('one', `echo 'credentials not found in native keychain'; exit 1`);
    const auths = { 'r.example': { auth: encode('me:pw') } };
    expect(await withConfig({ credsStore: 'one', auths })).toEqual(password('me', 'pw'));
    expect(await withConfig({ credsStore: 'one' })).toBeUndefined();
    expect(await withConfig({ credsStore: 'gone', auths })).toEqual(password('me', 'pw'));
  });

  it.each<[name: string, helper: string, script: string]>([
    ['is not installed', 'gone', ''],
    ['fails', 'one', 'echo hunter2; echo hunter2 >&2; exit 1'],
    ['crashes', 'one', 'echo hunter2 >&2; exit 7'],
    ['answers with something else', 'one', 'echo hunter2'],
    ['answers without a user name', 'one', `printf '{"Secret":"hunter2"}'`],
  ])('says so when the helper of the host %s, and shows no secret', async (_name, helper, script) => {
    if (script !== '') await putHelper(helper, script);
    const failure = withConfig({ credHelpers: { 'r.example': helper } });
    await expect(failure).rejects.toMatchObject({ code: 'CREDENTIAL_HELPER_FAILED' });
    await failure.catch((error: unknown) =>
      expect(String(error) + JSON.stringify(error)).not.toContain('hunter2'),
    );
  });

  it.each(['../../bin/sh', '/bin/sh', '-x', '.', 'a b', 'a\0b', 'x'.repeat(65)])(
    'runs no helper named %j',
    async (helper) => {
      await expect(withConfig({ credHelpers: { 'r.example': helper } })).rejects.toMatchObject({
        code: 'CREDENTIAL_HELPER_FAILED',
        details: { problem: 'its name is malformed' },
      });
    },
  );
});
