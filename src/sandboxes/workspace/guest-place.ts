/** A directory of a running guest that a workspace lives in, and how its files are named. */
import type { GuestFiles } from '../../agent/index.js';

export interface GuestPlace {
  readonly files: GuestFiles;
  /** Absolute path of the directory. */
  readonly root: string;
  /** Whose the files are that we put there. */
  readonly owner: GuestOwner;
}

export interface GuestOwner {
  readonly uid: number;
  readonly gid: number;
}

const ROOT: GuestOwner = { uid: 0, gid: 0 };
const MAX_PASSWD_BYTES = 1024 * 1024;

/** The guest's path of one below the directory, which is latin1. */
export function guestPath(root: string, path: string): Uint8Array {
  return path === ''
    ? Buffer.from(root)
    : Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path, 'latin1')]);
}

/**
 * Resolves `name|uid[:group|gid]` as the guest's /etc/passwd and /etc/group have it. Who is not in them owns
 * nothing: the files are root's then, and the first command of that user says what is wrong.
 */
export async function resolveOwner(files: GuestFiles, user: string): Promise<GuestOwner> {
  const [name = '', group] = user.split(':', 2);
  if (name === '' || name === 'root' || name === '0')
    return group === undefined ? ROOT : { uid: 0, gid: await groupId(files, group) };
  const row = (await rows(files, '/etc/passwd')).find(([known, , uid]) => known === name || uid === name);
  const uid = /^\d+$/.test(name) ? Number(name) : Number(row?.[2] ?? Number.NaN);
  if (!Number.isInteger(uid)) return ROOT;
  const gid = group === undefined ? Number(row?.[3] ?? uid) : await groupId(files, group);
  return { uid, gid: Number.isInteger(gid) ? gid : uid };
}

async function groupId(files: GuestFiles, group: string): Promise<number> {
  if (/^\d+$/.test(group)) return Number(group);
  const row = (await rows(files, '/etc/group')).find(([name]) => name === group);
  const gid = Number(row?.[2] ?? 0);
  return Number.isInteger(gid) ? gid : 0;
}

async function rows(files: GuestFiles, path: string): Promise<string[][]> {
  const text = await files.read(path, { maxBytes: MAX_PASSWD_BYTES }).catch(() => Buffer.alloc(0));
  return text
    .toString('latin1')
    .split('\n')
    .map((line) => line.split(':'));
}
