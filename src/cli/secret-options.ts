/** The options that give a guest secrets. */
import process from 'node:process';
import { fileError, HearthError } from '../errors/index.js';
import type { Secret } from '../sandboxes/index.js';
import type { CommandContext, OptionSpec, ParsedArguments } from './command.js';

export const SECRET_OPTIONS = {
  secret: {
    type: 'string',
    multiple: true,
    value: 'NAME=VALUE',
    help: 'Give the guest a secret, shown nowhere',
  },
  'secret-file': { type: 'string', multiple: true, value: 'NAME=PATH', help: 'The same, from a file' },
  'secret-env': {
    type: 'string',
    multiple: true,
    value: 'NAME[=VARIABLE]',
    help: 'The same, from a variable of yours',
  },
} as const satisfies Record<string, OptionSpec>;

/** For a command in a sandbox that has secrets. */
export const SECRET_ENV_OPTION = {
  'secret-env': {
    type: 'string',
    multiple: true,
    value: 'SECRET[=VARIABLE]',
    help: "Set a variable to one of the sandbox's secrets",
  },
} as const satisfies Record<string, OptionSpec>;

/** Reads {@link SECRET_OPTIONS}. @throws {HearthError} `SECRET_INVALID`; what reading a file throws. */
export async function readSecrets(args: ParsedArguments, { env }: CommandContext): Promise<Secret[]> {
  const [values, files, variables] = [args.list('secret'), args.list('secret-file'), args.list('secret-env')];
  if (values.length + files.length + variables.length === 0) return [];
  // Out of the list of processes as soon as it has been read; --secret-file was never in it.
  if (values.length > 0) process.title = 'hearth';
  const { assertSecrets, badName } = await import('../sandboxes/index.js');
  const halves = (word: string, least: number): readonly [string, string] => {
    const equals = word.indexOf('=');
    if (equals === -1 && least === 2) throw badName(word);
    return equals === -1 ? [word, word] : [word.slice(0, equals), word.slice(equals + 1)];
  };
  const secrets: Secret[] = [];
  for (const word of values) {
    const [name, value] = halves(word, 2);
    secrets.push({ name, value, source: 'value' });
  }
  for (const word of files) {
    const [name, path] = halves(word, 2);
    secrets.push({ name, value: await readSecretFile(name, path), source: 'file' });
  }
  for (const word of variables) {
    const [name, variable] = halves(word, 1);
    const value = env[variable];
    if (value === undefined) throw noVariable(name, variable);
    secrets.push({ name, value, source: 'env' });
  }
  assertSecrets(secrets);
  return secrets;
}

/** Reads {@link SECRET_ENV_OPTION}: names of secrets by the variables that are to hold them. */
export function readSecretEnv(args: ParsedArguments): { readonly secretEnv?: Record<string, string> } {
  const words = args.list('secret-env');
  if (words.length === 0) return {};
  const pairs = words.map((word) => {
    const equals = word.indexOf('=');
    return equals === -1 ? [word, word] : [word.slice(equals + 1), word.slice(0, equals)];
  });
  return { secretEnv: Object.fromEntries(pairs) as Record<string, string> };
}

async function readSecretFile(name: string, path: string): Promise<string> {
  const { MAX_SECRET_BYTES } = await import('../sandboxes/index.js');
  const { readFileBounded } = await import('../fsx/index.js');
  const bytes = await readFileBounded(path, MAX_SECRET_BYTES).catch((error: unknown) => {
    if (!HearthError.is(error)) throw fileError(error, path);
    throw new HearthError('SECRET_INVALID', `the file of the secret ${name.slice(0, 64)} is too long`, {
      hint: `At most ${MAX_SECRET_BYTES} bytes are kept.`,
      details: { path, mostBytes: MAX_SECRET_BYTES },
    });
  });
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new HearthError('SECRET_INVALID', `the file of the secret ${name.slice(0, 64)} is not UTF-8 text`, {
      hint: 'Encode it, for example with base64.',
      details: { path },
    });
  }
}

function noVariable(name: string, variable: string): HearthError {
  return new HearthError('SECRET_INVALID', `there is no variable for the secret ${name.slice(0, 64)}`, {
    hint: `Set it, or name another: --secret-env ${name.slice(0, 64)}=VARIABLE`,
    details: { variable: variable.slice(0, 64) },
  });
}
