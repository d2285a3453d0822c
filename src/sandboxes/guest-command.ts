/**
 * What a guest executes: the image's configuration with the user's wishes on top, by Docker's rules.
 * Source: OCI image-spec v1.1.1, config.md; `docker run` reference.
 */
import { HearthError } from '../errors/index.js';

/** The parts of an image's configuration that matter to a command; all may be missing. */
export interface ImageDefaults {
  readonly entrypoint?: readonly string[];
  readonly cmd?: readonly string[];
  /** `NAME=value` words. */
  readonly env?: readonly string[];
  readonly workingDir?: string;
  readonly user?: string;
}

export interface CommandWishes {
  /** Words after the image; replace the image's Cmd. */
  readonly command: readonly string[];
  /** Replaces the image's Entrypoint, and then its Cmd is not used either; `''` means none. */
  readonly entrypoint?: string;
  /** Added to the image's Env; the same name replaces. */
  readonly env: ReadonlyMap<string, string>;
  readonly workdir?: string;
  readonly user?: string;
}

export interface GuestCommand {
  /** At least one word. */
  readonly argv: readonly string[];
  readonly env: ReadonlyMap<string, string>;
  readonly cwd: string;
  /** `name`, `uid`, `name:group` or `uid:gid`, resolved in the guest; `''` is root. */
  readonly user: string;
}

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const NAME = /^[^=\0]+$/;

/** Splits `NAME=value` words; a word without `=` or with an empty name is left out, as the kernel would make nothing of it. */
function splitEnv(words: readonly string[]): Map<string, string> {
  const env = new Map<string, string>();
  for (const word of words) {
    const equals = word.indexOf('=');
    if (equals > 0) env.set(word.slice(0, equals), word.slice(equals + 1));
  }
  return env;
}

/**
 * Decides argv, environment, directory and user of a command.
 *
 * @throws {HearthError} `USAGE_INVALID` when neither the user nor the image names a command, or a workdir is relative.
 */
export function resolveGuestCommand(image: ImageDefaults, wishes: CommandWishes): GuestCommand {
  const ownEntrypoint = wishes.entrypoint !== undefined;
  const entrypoint = ownEntrypoint
    ? [wishes.entrypoint].filter((word) => word !== '')
    : (image.entrypoint ?? []);
  const cmd = wishes.command.length > 0 ? wishes.command : ownEntrypoint ? [] : (image.cmd ?? []);
  const argv = [...entrypoint, ...cmd];
  if (argv.length === 0) {
    throw new HearthError('USAGE_INVALID', 'no command given, and the image names none', {
      hint: 'Write the command after the image, for example: hearth run debian:12 -- ls /',
    });
  }
  const cwd = wishes.workdir ?? image.workingDir ?? '';
  if (cwd !== '' && !cwd.startsWith('/')) {
    throw new HearthError(
      'USAGE_INVALID',
      `the working directory ${JSON.stringify(cwd)} is not an absolute path`,
      {
        hint: 'Give an absolute path, for example --workdir /tmp.',
        details: { workdir: cwd },
      },
    );
  }
  const env = new Map([['PATH', DEFAULT_PATH], ...splitEnv(image.env ?? []), ...wishes.env]);
  return { argv, env, cwd: cwd === '' ? '/' : cwd, user: wishes.user ?? image.user ?? '' };
}

/**
 * Reads `--env` words: `NAME=value`, or `NAME` for the host's value of it (left out where the host has none).
 *
 * @throws {HearthError} `USAGE_INVALID` for an empty name or a NUL byte.
 */
export function parseEnvWords(
  words: readonly string[],
  hostEnv: Readonly<Record<string, string | undefined>>,
): Map<string, string> {
  const env = new Map<string, string>();
  for (const word of words) {
    const equals = word.indexOf('=');
    const name = equals === -1 ? word : word.slice(0, equals);
    const value = equals === -1 ? hostEnv[name] : word.slice(equals + 1);
    if (!NAME.test(name) || value?.includes('\0') === true) {
      throw new HearthError(
        'USAGE_INVALID',
        `not an environment variable: ${JSON.stringify(name.slice(0, 64))}`,
        {
          hint: 'Write --env NAME=value, or --env NAME for the value it has here.',
          details: { name: name.slice(0, 64) },
        },
      );
    }
    if (value !== undefined) env.set(name, value);
  }
  return env;
}

/** Reads an env file: one `NAME=value` or `NAME` a line; blank lines and lines that start with `#` do not count. */
export function parseEnvFile(
  text: string,
  hostEnv: Readonly<Record<string, string | undefined>>,
): Map<string, string> {
  const lines = text.split(/\r?\n/).map((line) => line.trimStart());
  return parseEnvWords(
    lines.filter((line) => line !== '' && !line.startsWith('#')),
    hostEnv,
  );
}
