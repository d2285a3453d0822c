/** Texts of configurations: read, and changed in one place with every other byte kept. */
import { isDeepStrictEqual } from 'node:util';
import { HearthError } from '../errors/index.js';
import { setJsonMember } from './json-edit.js';
import { parseToml, setTomlTable, tomlOf } from './toml-edit.js';

export type ConfigFormat = 'json' | 'toml';
export type ConfigObject = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is ConfigObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** @throws {HearthError} `CONFIG_INVALID`. */
export async function parseConfigText(
  text: string,
  format: ConfigFormat,
  path: string,
): Promise<ConfigObject> {
  if (text.trim() === '') return {};
  let document: unknown;
  try {
    document = format === 'json' ? JSON.parse(text.replace(/^\ufeff/, '')) : await parseToml(text);
  } catch (error) {
    const commented = format === 'json' && /^\s*\/[/*]|,\s*[}\]]/m.test(text);
    throw new HearthError(
      'CONFIG_INVALID',
      commented
        ? `${path} has comments or trailing commas, which would be lost`
        : `${path} is no ${format.toUpperCase()}`,
      {
        hint: 'Add the entry by hand: `hearth mcp print-config CLIENT` shows it.',
        details: { path },
        cause: error,
      },
    );
  }
  if (isObject(document)) return document;
  throw unexpected(path, []);
}

/** The object at the end of the names; undefined when there is none. @throws {HearthError} `CONFIG_INVALID`. */
export function objectAt(
  document: ConfigObject,
  names: readonly string[],
  path: string,
): ConfigObject | undefined {
  let found: unknown = document;
  for (const [depth, name] of names.entries()) {
    found = isObject(found) && Object.hasOwn(found, name) ? found[name] : undefined;
    if (found === undefined) return undefined;
    if (!isObject(found)) throw unexpected(path, names.slice(0, depth + 1));
  }
  return isObject(found) ? found : undefined;
}

/**
 * The text with one object put in or changed. What comes out is read again and compared: an edit that would
 * change anything else is refused.
 *
 * @throws {HearthError} `CONFIG_INVALID`.
 */
export async function withObject(
  text: string,
  format: ConfigFormat,
  names: readonly string[],
  value: ConfigObject,
  path: string,
): Promise<string> {
  const before = await parseConfigText(text, format, path);
  const edited =
    format === 'json' ? setJsonMember(text, names, value) : await setTomlTable(text, names, value);
  const after = await parseConfigText(edited, format, path).catch(() => undefined);
  if (after !== undefined && sameContent(after, replaced(before, names, value))) return edited;
  throw new HearthError(
    'CONFIG_INVALID',
    `${path} holds ${names.join('.')} in a form that is not edited here`,
    {
      hint: 'Change the entry by hand: `hearth mcp print-config CLIENT` shows it.',
      details: { path, names },
    },
  );
}

/** Only the object, as a file of its own would hold it. */
export async function objectText(
  format: ConfigFormat,
  names: readonly string[],
  value: ConfigObject,
): Promise<string> {
  const whole = replaced({}, names, value);
  return format === 'json' ? `${JSON.stringify(whole, null, 2)}\n` : await tomlOf(whole);
}

function replaced(document: ConfigObject, names: readonly string[], value: ConfigObject): ConfigObject {
  const [name, ...rest] = names;
  if (name === undefined) return value;
  const inner = document[name];
  return { ...document, [name]: replaced(isObject(inner) ? inner : {}, rest, value) };
}

/** Whatever prototypes and classes the parsers give. */
export function sameContent(one: ConfigObject, other: ConfigObject): boolean {
  return isDeepStrictEqual(plain(one), plain(other));
}

function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

function unexpected(path: string, names: readonly string[]): HearthError {
  const what = names.length === 0 ? 'the document' : names.join('.');
  return new HearthError('CONFIG_INVALID', `${path}: ${what} is not an object`, {
    hint: 'Mend the file, then run the same command again.',
    details: { path, names },
  });
}
