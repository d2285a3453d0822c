/**
 * Where environments lie on disk:
 *
 *     <root>/<platform>/<name with ':'→'_'>-<version>/   installed, valid when its manifest and artifacts are there
 *     <root>/<platform>/.partial-<name>-<12 hex>/        being made by whoever holds the name's lock, or left by the dead
 *     <root>/.locks/<platform>/<name>                    held while the name is being changed
 */
import { randomBytes } from 'node:crypto';
import { lstat, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, fileError, HearthError } from '../errors/index.js';
import type { HearthPaths } from '../fsx/index.js';
import { installDirectoryName, safeName } from './names.js';

/** Overrides where environments are kept; an explicit option wins over it. */
export const ENVIRONMENT_DIRECTORY_VARIABLE = 'HEARTH_ENVIRONMENT_CACHE_DIR';
/** The only platform that this build boots; also the directory its environments lie in. */
export const HOST_PLATFORM = 'linux-x86_64';
const PARTIAL_PREFIX = '.partial-';
const PARTIAL = /^\.partial-(.+)-[0-9a-f]{12}$/;

/** The directory of environments for these paths and this environment of the process. */
export function defaultEnvironmentsDirectory(
  paths: HearthPaths,
  env: Readonly<Record<string, string | undefined>>,
): string {
  const override = env[ENVIRONMENT_DIRECTORY_VARIABLE];
  return override === undefined || override === '' ? join(paths.data, 'environments') : override;
}

export class EnvironmentLayout {
  readonly root: string;
  readonly platformDirectory: string;

  constructor(root: string, platform: string = HOST_PLATFORM) {
    this.root = root;
    this.platformDirectory = join(root, platform);
  }

  installDirectory(name: string, version: string): string {
    return join(this.platformDirectory, installDirectoryName(name, version));
  }

  /** The lock that whoever changes installs of `name` holds. */
  lockPath(name: string): string {
    return this.#lockPathOf(safeName(name));
  }

  /** A new, empty staging directory for `name` (0700). The caller holds the lock of `name`. */
  async createStaging(name: string): Promise<string> {
    const path = join(
      this.platformDirectory,
      `${PARTIAL_PREFIX}${safeName(name)}-${randomBytes(6).toString('hex')}`,
    );
    try {
      await mkdir(path, { mode: 0o700 });
    } catch (error) {
      throw fileError(error, path);
    }
    return path;
  }

  /** Every staging directory, with the lock that its maker holds while it lives (undefined: not made by us). */
  async stagings(): Promise<{ readonly path: string; readonly lockPath: string | undefined }[]> {
    const names = await this.#names();
    return names
      .filter((name) => name.startsWith(PARTIAL_PREFIX))
      .map((name) => {
        const safe = PARTIAL.exec(name)?.[1];
        return {
          path: join(this.platformDirectory, name),
          lockPath: safe === undefined ? undefined : this.#lockPathOf(safe),
        };
      });
  }

  /** Every entry that should be an install: names in the platform's directory, sorted. */
  async entries(): Promise<string[]> {
    return (await this.#names()).filter((name) => !name.startsWith('.'));
  }

  /**
   * Creates the directories if needed and checks that nobody else can change what is in them.
   *
   * @throws {HearthError} `STORE_INSECURE` when one is a symlink, another user's, or writable by others;
   *   `FILE_UNREADABLE` when it cannot be written to, `DISK_FULL`.
   */
  async prepareForWriting(): Promise<void> {
    for (const path of [this.root, this.platformDirectory]) {
      try {
        await mkdir(path, { recursive: true, mode: 0o700 });
      } catch (error) {
        if (errnoOf(error) !== 'EEXIST') throw fileError(error, path);
      }
      await assertPrivateDirectory(path);
    }
  }

  /**
   * Checks that nobody else can change what is installed; what is not there is fine.
   *
   * @throws {HearthError} `STORE_INSECURE`.
   */
  async assertTrusted(): Promise<void> {
    for (const path of [this.root, this.platformDirectory]) {
      try {
        await assertPrivateDirectory(path);
      } catch (error) {
        const errno = errnoOf(error);
        if (errno === undefined) throw error;
        if (errno !== 'ENOENT' && errno !== 'ENOTDIR') throw fileError(error, path);
      }
    }
  }

  #lockPathOf(safe: string): string {
    return join(this.root, '.locks', `${safe}.lock`);
  }

  async #names(): Promise<string[]> {
    try {
      return (await readdir(this.platformDirectory)).sort();
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === 'ENOENT' || errno === 'ENOTDIR') return [];
      throw fileError(error, this.platformDirectory);
    }
  }
}

async function assertPrivateDirectory(path: string): Promise<void> {
  const found = await lstat(path);
  const refuse = (problem: string): HearthError =>
    new HearthError('STORE_INSECURE', `${path} is ${problem}, so what it holds cannot be trusted`, {
      hint: `Make it a directory of your own with \`chmod 700 ${path}\`, or set HEARTH_HOME to another place.`,
      details: { path, mode: (found.mode & 0o7777).toString(8), uid: found.uid },
    });
  if (found.isSymbolicLink()) throw refuse('a symbolic link');
  if (!found.isDirectory()) throw refuse('not a directory');
  if (process.geteuid !== undefined && found.uid !== process.geteuid()) throw refuse("another user's");
  if ((found.mode & 0o022) !== 0) throw refuse('writable by other users');
}
