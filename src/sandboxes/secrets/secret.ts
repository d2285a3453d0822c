/** Values that a guest gets and nobody else is shown: their names, their bounds, and what a command asks of them. */
import { HearthError } from '../../errors/index.js';

/** Where a secret came from: given as it is, read from a file, or a variable of the host. */
export const SECRET_SOURCES = ['value', 'file', 'env'] as const;
export type SecretSource = (typeof SECRET_SOURCES)[number];

export interface Secret {
  /** A name that a variable can have, at most 64 characters. */
  readonly name: string;
  /** 1 to 65,536 bytes of UTF-8 without NUL. */
  readonly value: string;
  /** Default `value`. */
  readonly source?: SecretSource | undefined;
}

/** Where a guest has them as files, in a file system in its memory. */
export const GUEST_SECRETS_DIRECTORY = '/run/secrets';

const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;
export const MAX_SECRET_BYTES = 64 * 1024;
const MAX_SECRETS = 64;

export function isSecretName(name: string): boolean {
  return NAME.test(name);
}

/** @throws {HearthError} `SECRET_INVALID`; it never repeats a value. */
export function assertSecrets(secrets: readonly Secret[]): void {
  if (secrets.length > MAX_SECRETS) {
    throw invalid(`${secrets.length} secrets, at most ${MAX_SECRETS} are kept`, { most: MAX_SECRETS });
  }
  const names = new Set<string>();
  for (const { name, value } of secrets) {
    if (!isSecretName(name)) throw badName(name);
    if (names.has(name)) throw invalid(`the secret ${name} is given twice`, { name });
    names.add(name);
    const lengthBytes = Buffer.byteLength(value);
    if (lengthBytes === 0) throw invalid(`the secret ${name} is empty`, { name, lengthBytes });
    if (lengthBytes > MAX_SECRET_BYTES) {
      throw invalid(`the secret ${name} has ${lengthBytes} bytes, at most ${MAX_SECRET_BYTES} are kept`, {
        name,
        lengthBytes,
        mostBytes: MAX_SECRET_BYTES,
      });
    }
    if (value.includes('\0')) throw invalid(`the secret ${name} has a NUL byte`, { name });
  }
}

/** @throws {HearthError} `SECRET_INVALID`. What was written is not repeated: it may be the secret. */
export function badName(name: string): HearthError {
  return invalid('the name of a secret is not one that a variable can have', { lengthChars: name.length });
}

function invalid(message: string, details: Readonly<Record<string, unknown>>): HearthError {
  return new HearthError('SECRET_INVALID', message, {
    hint: 'Write --secret NAME=VALUE, --secret-file NAME=PATH or --secret-env NAME[=VARIABLE].',
    details,
  });
}

/**
 * The variables of a command that are to hold secrets.
 *
 * @param wanted Names of secrets by the variables that are to hold them.
 * @throws {HearthError} `SECRET_NOT_FOUND`.
 */
export function secretVariables(
  wanted: Readonly<Record<string, string>>,
  values: ReadonlyMap<string, string>,
  owner: string,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(wanted).map(([variable, name]) => {
      const value = values.get(name);
      if (value !== undefined) return [variable, value] as const;
      const known = [...values.keys()];
      throw new HearthError(
        'SECRET_NOT_FOUND',
        `${owner} has no secret ${JSON.stringify(name.slice(0, 64))}`,
        {
          hint:
            known.length === 0
              ? `Give it one: hearth update --secret-file NAME=PATH ${owner}`
              : `It has ${known.slice(0, 8).join(', ')}.`,
          details: { sandbox: owner, secret: name.slice(0, 64), secrets: known },
        },
      );
    }),
  );
}
