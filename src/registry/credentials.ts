/**
 * Credentials that the user has already given to Docker, Podman or skopeo.
 * Sources: docker/cli "config.json"; containers-auth.json(5); docker-credential-helpers' protocol.
 */
import { join } from 'node:path';
import { errnoOf, fileError, HearthError } from '../errors/index.js';
import { readFileBounded } from '../fsx/index.js';
import { runTool } from '../subprocess/index.js';
import type { RegistryAuth } from './options.js';

type Env = Readonly<Record<string, string | undefined>>;
type JsonObject = Readonly<Record<string, unknown>>;

const MAX_CONFIG_BYTES = 4 * 1024 * 1024;
const HELPER_TIMEOUT_MS = 30_000;
const HELPER_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const DOCKER_HUB_KEY = 'https://index.docker.io/v1/';
/** How helpers spell "a refresh token, not a password". */
const TOKEN_USERNAME = '<token>';

/**
 * Looks for the credentials of `repository` in `registry`, in this order: REGISTRY_AUTH_FILE, Docker's config.json
 * (in DOCKER_CONFIG or ~/.docker), Podman's auth.json (in XDG_RUNTIME_DIR). The first file that knows some wins.
 *
 * @throws {HearthError} `CREDENTIAL_HELPER_FAILED`, `CONFIG_INVALID` for a file that is not JSON.
 */
export async function findCredentials(
  registry: string,
  repository: string,
  env: Env,
  signal?: AbortSignal,
): Promise<RegistryAuth | undefined> {
  for (const path of configFiles(env)) {
    const config = await readConfig(path);
    if (config === undefined) continue;
    const found = await lookUp(config, registry, repository, env, signal);
    if (found !== undefined) return found;
  }
  return undefined;
}

function configFiles(env: Env): readonly string[] {
  const files: string[] = [];
  const add = (directory: string | undefined, ...names: string[]): void => {
    if (directory !== undefined && directory !== '') files.push(join(directory, ...names));
  };
  add(env.REGISTRY_AUTH_FILE);
  if (env.DOCKER_CONFIG !== undefined && env.DOCKER_CONFIG !== '') add(env.DOCKER_CONFIG, 'config.json');
  else add(env.HOME, '.docker', 'config.json');
  add(env.XDG_RUNTIME_DIR, 'containers', 'auth.json');
  return files;
}

async function readConfig(path: string): Promise<JsonObject | undefined> {
  let text: string;
  try {
    text = (await readFileBounded(path, MAX_CONFIG_BYTES)).toString('utf8');
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return undefined;
    throw fileError(error, path);
  }
  if (text.trim() === '') return undefined;
  try {
    return asObject(JSON.parse(text));
  } catch {
    // The parser's message would quote the file, which holds secrets.
    throw new HearthError('CONFIG_INVALID', `${path} is not JSON`, {
      hint: 'Repair the file, or log in again with docker login or podman login.',
      details: { path },
    });
  }
}

function asObject(value: unknown): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}

function asText(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** The names under which the credentials may be kept, the most specific first (containers-auth.json(5)). */
function namesOf(registry: string, repository: string): readonly string[] {
  const names: string[] = [];
  for (
    let path = `${registry}/${repository}`;
    path.includes('/');
    path = path.slice(0, path.lastIndexOf('/'))
  ) {
    names.push(path);
  }
  return [...names, registry];
}

/** `https://index.docker.io/v1/` and `docker.io` are one key. */
function normalizeKey(key: string): string {
  const bare = key
    .replace(/^https?:\/\//, '')
    .replace(/\/(?:v[12]\/?)?$/, '')
    .replace(/\/+$/, '')
    .toLowerCase();
  return bare === 'index.docker.io' || bare === 'registry-1.docker.io' ? 'docker.io' : bare;
}

function findByName(map: JsonObject, names: readonly string[]): unknown {
  const byKey = new Map(Object.entries(map).map(([key, value]) => [normalizeKey(key), value]));
  for (const name of names) {
    const value = byKey.get(name);
    if (value !== undefined) return value;
  }
  return undefined;
}

async function lookUp(
  config: JsonObject,
  registry: string,
  repository: string,
  env: Env,
  signal: AbortSignal | undefined,
): Promise<RegistryAuth | undefined> {
  const names = namesOf(registry, repository);
  const ownHelper = asText(findByName(asObject(config.credHelpers), [registry]));
  if (ownHelper !== undefined) return askHelper(ownHelper, registry, env, signal);
  const store = asText(config.credsStore);
  if (store !== undefined) {
    try {
      const found = await askHelper(store, registry, env, signal);
      if (found !== undefined) return found;
    } catch (error) {
      // A store left behind by an uninstalled Docker Desktop must not stop pulls of public images.
      if (!HearthError.is(error) || error.details.isMissing !== true) throw error;
    }
  }
  return readEntry(asObject(findByName(asObject(config.auths), names)));
}

/** One entry of `auths`. */
function readEntry(entry: JsonObject): RegistryAuth | undefined {
  const identityToken = asText(entry.identitytoken);
  if (identityToken !== undefined) return { kind: 'identityToken', token: identityToken };
  const registryToken = asText(entry.registrytoken);
  if (registryToken !== undefined) return { kind: 'registryToken', token: registryToken };
  const auth = asText(entry.auth);
  if (auth !== undefined) {
    const decoded = Buffer.from(auth, 'base64').toString('utf8').replace(/\0+$/, '');
    const colon = decoded.indexOf(':');
    if (colon > 0) {
      return { kind: 'password', username: decoded.slice(0, colon), password: decoded.slice(colon + 1) };
    }
  }
  const username = asText(entry.username);
  const password = asText(entry.password);
  if (username === undefined || password === undefined) return undefined;
  return { kind: 'password', username, password };
}

async function askHelper(
  helper: string,
  registry: string,
  env: Env,
  signal: AbortSignal | undefined,
): Promise<RegistryAuth | undefined> {
  if (!HELPER_NAME.test(helper)) throw helperFailed(helper, registry, 'its name is malformed');
  const program = `docker-credential-${helper}`;
  let stdout: string;
  let exitCode: number;
  try {
    const result = await runTool(program, ['get'], {
      input: registry === 'docker.io' ? DOCKER_HUB_KEY : registry,
      env: { ...env },
      timeoutMs: HELPER_TIMEOUT_MS,
      okExitCodes: [0, 1],
      ...(signal === undefined ? {} : { signal }),
    });
    stdout = result.stdout.toString('utf8');
    exitCode = result.exitCode;
  } catch (error) {
    signal?.throwIfAborted();
    const isMissing = HearthError.is(error) && error.code === 'TOOL_NOT_FOUND';
    // The tool's own error quotes its output, which may hold secrets: only its code is passed on.
    const problem = isMissing
      ? 'it is not installed'
      : HearthError.is(error)
        ? error.code
        : 'it cannot be run';
    throw helperFailed(program, registry, problem, isMissing);
  }
  if (exitCode === 1) {
    if (/credentials not found/i.test(stdout)) return undefined;
    throw helperFailed(program, registry, 'it reported an error');
  }
  return readHelperAnswer(program, registry, stdout);
}

function readHelperAnswer(program: string, registry: string, stdout: string): RegistryAuth | undefined {
  let answer: JsonObject;
  try {
    answer = asObject(JSON.parse(stdout));
  } catch {
    throw helperFailed(program, registry, 'its answer is not JSON');
  }
  const username = asText(answer.Username);
  const secret = asText(answer.Secret);
  if (secret === undefined) return undefined;
  if (username === TOKEN_USERNAME) return { kind: 'identityToken', token: secret };
  if (username === undefined) throw helperFailed(program, registry, 'its answer has no Username');
  return { kind: 'password', username, password: secret };
}

function helperFailed(helper: string, registry: string, problem: string, isMissing = false): HearthError {
  return new HearthError(
    'CREDENTIAL_HELPER_FAILED',
    `the credential helper ${JSON.stringify(helper)} gave no credentials for ${registry}: ${problem}`,
    {
      hint: 'Run the helper by hand to see why, or remove it from credHelpers and credsStore in config.json.',
      details: { helper, registry, problem, isMissing },
    },
  );
}
