/**
 * A kernel package from the host's own apt: its sources, keys and proxies, but no root and no change to the host.
 *
 * Source: apt-get(8), apt-cache(8), apt.conf(5), dpkg-deb(1).
 * apt checks what it downloads against its signed lists. When the host has no lists, private ones are fetched.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, fileError, HearthError } from '../errors/index.js';
import { runTool } from '../subprocess/index.js';

export interface AptKernel {
  /** The package that holds the files: `linux-image-6.1.0-9-cloud-amd64`. */
  readonly package: string;
  readonly version: string;
  readonly vmlinuzPath: string;
  readonly modulesDirectory: string;
}

export interface AptOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (message: string) => void;
}

const INSTALL_HINT = 'hearth takes this kernel from Debian packages; elsewhere use `hearth kernel import`.';
const DOWNLOAD_TIMEOUT_MS = 600_000;
/** Of progress bars and translations nothing is wanted in what we parse. */
const PLAIN = { LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' };

/**
 * Downloads and unpacks the newest kernel behind `package`, which may be a metapackage.
 *
 * @param staging An empty directory of ours; everything is left in there.
 * @throws {HearthError} `TOOL_NOT_FOUND` without apt, `KERNEL_SOURCE_UNAVAILABLE` when the package cannot be
 *   found or fetched; `DIGEST_MISMATCH` when the package has another `digest` (sha256:…) than the one asked for.
 */
export async function fetchAptKernel(
  { package: packageName, digest = null }: { readonly package: string; readonly digest?: string | null },
  staging: string,
  options: AptOptions = {},
): Promise<AptKernel> {
  const apt = new Apt(staging, options);
  options.onProgress?.(`looking up ${packageName}`);
  const found = (await apt.resolveKernel(packageName)) ?? (await apt.resolveWithPrivateLists(packageName));
  if (found === undefined) throw notFound(packageName);

  options.onProgress?.(`downloading ${found.package} ${found.version}`);
  const debPath = await apt.download(found);
  if (digest !== null) await assertDigest(debPath, digest, found);
  options.onProgress?.(`unpacking ${found.package}`);
  const root = join(staging, 'root');
  await apt.run('dpkg-deb', ['--extract', debPath, root]);
  return { ...found, ...(await findKernelFiles(root, found.package)) };
}

/** Before anything of the package is unpacked. */
async function assertDigest(path: string, expected: string, found: PackageVersion): Promise<void> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  const actual = `sha256:${hash.digest('hex')}`;
  if (actual === expected) return;
  const { package: packageName, version } = found;
  throw new HearthError(
    'DIGEST_MISMATCH',
    `the package ${packageName} ${version} has the digest ${actual}, expected ${expected}`,
    {
      hint: "Correct the digest in the catalog's kernel, or leave it out to take the newest package.",
      details: { package: packageName, version, expected, actual },
    },
  );
}

interface PackageVersion {
  readonly package: string;
  readonly version: string;
}

class Apt {
  readonly #staging: string;
  readonly #options: AptOptions;
  #configuration: readonly string[] = [];

  constructor(staging: string, options: AptOptions) {
    this.#staging = staging;
    this.#options = options;
  }

  async run(command: string, args: readonly string[], okExitCodes: readonly number[] = [0]): Promise<string> {
    const { signal } = this.#options;
    const { stdout } = await runTool(command, args, {
      cwd: this.#staging,
      env: { ...process.env, ...PLAIN },
      timeoutMs: DOWNLOAD_TIMEOUT_MS,
      okExitCodes,
      installHint: INSTALL_HINT,
      ...(signal === undefined ? {} : { signal }),
    });
    return stdout.toString('utf8');
  }

  /** The package with the files: `packageName` itself, or the `linux-image-…` that it depends on. */
  async resolveKernel(packageName: string): Promise<PackageVersion | undefined> {
    const shown = await this.run(
      'apt-cache',
      [...this.#configuration, 'show', '--no-all-versions', packageName],
      [0, 100],
    );
    const version = /^Version: (\S+)$/m.exec(shown)?.[1];
    if (version === undefined) return undefined;
    const depends = /^Depends: (.*)$/m.exec(shown)?.[1] ?? '';
    const image = /(?:^|, )(linux-image-[0-9][^ ,|]*)/.exec(depends)?.[1];
    return image === undefined ? { package: packageName, version } : await this.resolveKernel(image);
  }

  /** The same with lists of our own, for a host whose lists are empty, as those of container images are. */
  async resolveWithPrivateLists(packageName: string): Promise<PackageVersion | undefined> {
    this.#options.onProgress?.('fetching package lists');
    const state = join(this.#staging, 'apt');
    await mkdir(join(state, 'lists', 'partial'), { recursive: true });
    await mkdir(join(state, 'archives', 'partial'), { recursive: true });
    this.#configuration = [
      ['Dir::State::Lists', join(state, 'lists')],
      ['Dir::Cache', state],
      ['Dir::Cache::Archives', join(state, 'archives')],
      ['APT::Sandbox::User', ''],
      ['Debug::NoLocking', 'true'],
    ].flatMap(([name, value]) => ['-o', `${name}=${value}`]);
    try {
      await this.run('apt-get', [...this.#configuration, '--quiet', 'update']);
    } catch (error) {
      throw unavailable(packageName, 'the package lists could not be fetched', error);
    }
    return await this.resolveKernel(packageName);
  }

  async download(found: PackageVersion): Promise<string> {
    const { package: packageName, version } = found;
    const args = [
      ...this.#configuration,
      // As root apt would drop to a user who may not write to our directory.
      ...['-o', 'APT::Sandbox::User='],
      ...['--quiet', 'download', `${packageName}=${version}`],
    ];
    try {
      await this.run('apt-get', args);
    } catch (error) {
      throw unavailable(packageName, 'it could not be downloaded', error);
    }
    const file = (await readdir(this.#staging)).find((name) => name.endsWith('.deb'));
    if (file === undefined) throw unavailable(packageName, 'apt-get left no file', undefined);
    return join(this.#staging, file);
  }
}

async function findKernelFiles(
  root: string,
  packageName: string,
): Promise<{ vmlinuzPath: string; modulesDirectory: string }> {
  const boot = await namesIn(join(root, 'boot'));
  const vmlinuz = boot.find((name) => name.startsWith('vmlinuz-'));
  if (vmlinuz === undefined) throw unavailable(packageName, 'it holds no /boot/vmlinuz', undefined);
  const release = vmlinuz.slice('vmlinuz-'.length);
  for (const libraries of ['usr/lib/modules', 'lib/modules']) {
    const modulesDirectory = join(root, libraries, release);
    if ((await namesIn(modulesDirectory)).includes('kernel'))
      return { vmlinuzPath: join(root, 'boot', vmlinuz), modulesDirectory };
  }
  throw unavailable(packageName, `it holds no modules for ${release}`, undefined);
}

/** Names in a directory; none when it is not there. */
async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw fileError(error, directory);
  }
}

function notFound(packageName: string): HearthError {
  return new HearthError('KERNEL_SOURCE_UNAVAILABLE', `apt knows no package ${packageName}`, {
    hint: 'Run `apt-get update` as root, or give a kernel of your own with `hearth kernel import`.',
    details: { package: packageName },
  });
}

function unavailable(packageName: string, why: string, cause: unknown): unknown {
  if (cause !== undefined && (!HearthError.is(cause) || cause.code === 'TOOL_NOT_FOUND')) return cause;
  const said = HearthError.is(cause) ? `: ${cause.message}` : '';
  return new HearthError('KERNEL_SOURCE_UNAVAILABLE', `kernel package ${packageName}: ${why}${said}`, {
    hint: 'Check the network and the apt sources of this machine (`apt-get update`), then run the same command again.',
    details: { package: packageName, why },
    cause,
  });
}
