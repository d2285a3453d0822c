/** Modes and owners of files as people type them. */
import { HearthError } from '../errors/index.js';

const MAX_ID = 2 ** 32 - 2;

/** Octal permission bits: `755`, `0644`, `4755`. @throws {HearthError} `USAGE_INVALID`. */
export function parseMode(text: string): number {
  if (/^0?[0-7]{1,4}$/.test(text) && Number.parseInt(text, 8) <= 0o7777) return Number.parseInt(text, 8);
  throw new HearthError('USAGE_INVALID', `not a mode: ${JSON.stringify(text.slice(0, 32))}`, {
    hint: 'Give octal permission bits, for example --mode 755.',
    details: { mode: text.slice(0, 32) },
  });
}

/** `UID[:GID]`; the group is the user's number unless it is given. @throws {HearthError} `USAGE_INVALID`. */
export function parseOwner(text: string): { readonly uid: number; readonly gid: number } {
  const [, uid, gid = uid] = /^(\d{1,10})(?::(\d{1,10}))?$/.exec(text) ?? [];
  if (uid !== undefined && Number(uid) <= MAX_ID && Number(gid) <= MAX_ID) {
    return { uid: Number(uid), gid: Number(gid) };
  }
  throw new HearthError('USAGE_INVALID', `not an owner: ${JSON.stringify(text.slice(0, 32))}`, {
    hint: 'Give numbers, for example --owner 1000:1000.',
    details: { owner: text.slice(0, 32) },
  });
}

/** Of `--max-entries`. @throws {HearthError} `USAGE_INVALID`. */
export function countOption(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new HearthError('USAGE_INVALID', `not a number of entries: ${JSON.stringify(text.slice(0, 32))}`, {
    hint: 'Give a number from 1 to 100000, for example --max-entries 500.',
  });
}
