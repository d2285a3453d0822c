/**
 * Debian packages put together on this machine by mmdebstrap, as root or as an ordinary user (user
 * namespaces), with the host's own apt configuration. The tree arrives as a tar and is converted like an image.
 *
 * Source: mmdebstrap(1), apt-get(8) "indextargets", apt.conf(5).
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { HearthError } from '../../errors/index.js';
import type { Image } from '../../oci/index.js';
import { runTool } from '../../subprocess/index.js';
import type { CatalogSource } from '../catalog-schema.js';
import type { ObtainedArtifacts, SourceRequest } from '../source.js';
import { openTarImage } from '../tar-image.js';
import { supervised } from './supervise.js';

export type DebianPackagesSource = Extract<CatalogSource, { type: 'debian-packages' }>;
/** Turns an image into `rootfs.ext4` in the staging directory of the request. */
export type ConvertImage = (image: Image, request: SourceRequest) => Promise<ObtainedArtifacts>;

/** What a manifest says about an install from Debian packages. */
export const DEBIAN_PACKAGES_LABEL = 'debian-packages';

const BUILD_TIMEOUT_MS = 3_600_000;
const LOOKUP_TIMEOUT_MS = 20_000;
/** No file is newer than this; with it the same packages give the same bytes. 2025-01-01T00:00:00Z. */
const SOURCE_DATE_EPOCH = '1735689600';
/** What Debian's own images set. */
const IMAGE_CONFIG = {
  env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
  cmd: ['bash'],
};
const INSTALL_HINT =
  'Install it with `sudo apt-get install mmdebstrap`, or use an image: `hearth env pull debian:12-slim`.';

/**
 * Builds the rootfs of `source`.
 *
 * @throws {HearthError} `TOOL_NOT_FOUND` without mmdebstrap; `TOOL_FAILED` with its last words, for example
 *   when no mirror answers; `OFFLINE`; `DIGEST_MISMATCH`; what the conversion throws.
 */
export async function obtainDebianPackages(
  source: DebianPackagesSource,
  request: SourceRequest,
  convert: ConvertImage,
): Promise<ObtainedArtifacts> {
  if (request.offline) {
    throw new HearthError('OFFLINE', `the Debian packages of ${request.environment} need the network`, {
      hint: 'Run the same command without --offline.',
      details: { environment: request.environment, suite: source.suite, packages: source.packages },
    });
  }
  const tarPath = join(request.scratch, 'layer.tar');
  request.report('download', { message: `building from Debian packages (${source.suite})` });
  await runMmdebstrap(source, tarPath, request);
  const image = await openTarImage(tarPath, IMAGE_CONFIG, { signal: request.signal });
  if (source.digest !== null && source.digest !== image.manifestDigest) {
    throw new HearthError(
      'DIGEST_MISMATCH',
      `the Debian packages of ${request.environment} have digest ${image.manifestDigest}, expected ${source.digest}`,
      {
        hint: 'The suite has newer packages than those that were recorded; use a snapshot mirror or record them anew.',
        details: { environment: request.environment, expected: source.digest, actual: image.manifestDigest },
      },
    );
  }
  const obtained = await convert(image, request);
  await rm(tarPath, { force: true });
  return {
    ...obtained,
    source: DEBIAN_PACKAGES_LABEL,
    sourceDigest: image.manifestDigest,
    provenance: { ...obtained.provenance, manifest_digest: null, config_digest: null },
  };
}

async function runMmdebstrap(
  source: DebianPackagesSource,
  tarPath: string,
  request: SourceRequest,
): Promise<void> {
  const signal = request.signal === undefined ? {} : { signal: request.signal };
  // Asked for first, because the supervising shell would only say "not found".
  const [mirrors, proxies] = await Promise.all([
    hostMirrors(source.suite),
    hostProxies(),
    runTool('mmdebstrap', ['--version'], { installHint: INSTALL_HINT, ...signal }),
  ]);
  const args = [
    '--variant=minbase',
    '--format=tar',
    ...(source.packages.length === 0 ? [] : [`--include=${source.packages.join(',')}`]),
    '--aptopt=Acquire::Languages "none"',
    '--aptopt=Acquire::Retries "2"',
    // A tree that is thrown away after a power cut needs no sync for every file; the image does not keep the setting.
    '--dpkgopt=force-unsafe-io',
    // The host's own name and resolver are no business of the image.
    '--customize-hook=rm -f "$1"/etc/hostname "$1"/etc/resolv.conf "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap',
    source.suite,
    tarPath,
    ...mirrors,
  ];
  const [command, commandArgs] = supervised('mmdebstrap', args);
  try {
    await runTool(command, commandArgs, {
      env: {
        ...process.env,
        ...proxies,
        SOURCE_DATE_EPOCH,
        LC_ALL: 'C.UTF-8',
      },
      timeoutMs: BUILD_TIMEOUT_MS,
      onStderrLine: (line) => {
        const step = /^I: (.{1,200})$/.exec(line)?.[1];
        if (step !== undefined) request.report('download', { message: step });
      },
      ...signal,
    });
  } catch (error) {
    throw explain(error, request.environment);
  }
}

/** Gives the usual failures of mmdebstrap the words of one who knows the remedy. */
function explain(error: unknown, environment: string): unknown {
  if (!HearthError.is(error) || error.code !== 'TOOL_FAILED') return error;
  const said = String(error.details.stderr ?? '');
  const [problem, hint] = whatHappened(said);
  return new HearthError('TOOL_FAILED', `mmdebstrap could not build ${environment}: ${problem}`, {
    hint,
    details: { ...error.details, command: 'mmdebstrap', environment },
    cause: error,
  });
}

function whatHappened(said: string): [problem: string, hint: string] {
  if (/unable to pick chroot mode|newuidmap|subuid|user namespace|unshare/i.test(said)) {
    return [
      'this user may not use a range of user ids',
      'Give yourself one with `sudo apt-get install uidmap && sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER`, or run the command as root.',
    ];
  }
  if (/Could not resolve|Failed to fetch|Could not connect|Temporary failure|Unable to fetch/i.test(said)) {
    return [
      'the Debian mirror could not be reached',
      'Check the network and the proxy settings of apt, then run the same command again.',
    ];
  }
  if (/Unable to locate package|has no installation candidate/i.test(said)) {
    return ['a package does not exist in that suite', 'Check the package names in the catalog entry.'];
  }
  if (/No space left on device/i.test(said)) {
    return [
      'no space left on the device of its temporary files',
      'Free some space, or set TMPDIR to a directory with 2 GiB free.',
    ];
  }
  const lastLines = said
    .split('\n')
    .filter((line) => /^[EW]: /.test(line))
    .slice(-3)
    .join('; ');
  return [
    lastLines === '' ? said.slice(-300) : lastLines,
    'Run the same command again; look at the message above.',
  ];
}

/** The host's own mirrors of that suite as apt lines; none when it is no Debian host of that suite. */
async function hostMirrors(suite: string): Promise<string[]> {
  const format = '$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(COMPONENT)';
  try {
    const { stdout } = await runTool(
      'apt-get',
      ['indextargets', '--format', format, 'Created-By: Packages'],
      {
        timeoutMs: LOOKUP_TIMEOUT_MS,
      },
    );
    const lines = new Set<string>();
    let hasBase = false;
    for (const line of stdout.toString('utf8').split('\n')) {
      const [origin, codename = '', uri = '', component] = line.split('|');
      const isOfSuite = codename === suite || codename.startsWith(`${suite}-`);
      if (origin !== 'Debian' || component !== 'main' || !isOfSuite || !/^https?:\/\//.test(uri)) continue;
      hasBase ||= codename === suite;
      lines.add(`deb ${uri} ${codename} main`);
    }
    return hasBase ? [...lines] : [];
  } catch {
    return [];
  }
}

/** The proxies of the host's apt as environment variables, which do not end up in the image. */
async function hostProxies(): Promise<Record<string, string>> {
  const proxies: Record<string, string> = {};
  for (const scheme of ['http', 'https']) {
    if (process.env[`${scheme}_proxy`] !== undefined) continue;
    try {
      const { stdout } = await runTool('apt-config', ['shell', 'PROXY', `Acquire::${scheme}::Proxy`], {
        timeoutMs: LOOKUP_TIMEOUT_MS,
      });
      const value = /^PROXY='([^']+)'/.exec(stdout.toString('utf8'))?.[1];
      if (value !== undefined && value !== 'DIRECT') proxies[`${scheme}_proxy`] = value;
    } catch {
      // No apt-config: nothing to pass on.
    }
  }
  return proxies;
}
