/** The token that requests over TCP have to bring: a file of the user alone. */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import process from 'node:process';
import { errnoOf, fileError, HearthError } from '../errors/index.js';

const TOKEN_BYTES = 32;
const LEAST_CHARS = 32;
const MOST_CHARS = 512;
const OTHERS = 0o077;

/**
 * Reads the token, and makes the file with a random one when it is not there.
 *
 * @throws {HearthError} `DAEMON_INSECURE` when others may read the file, it is a link, or it belongs to somebody
 *   else; `CONFIG_INVALID` when what is in it is no token.
 */
export async function readTokenFile(path: string): Promise<string> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const stats = await file.stat();
      if (!stats.isFile() || stats.uid !== process.getuid?.() || (stats.mode & OTHERS) !== 0) {
        throw insecure(path, stats.mode);
      }
      const { buffer, bytesRead } = await file.read(Buffer.alloc(MOST_CHARS + 2), 0, MOST_CHARS + 2, 0);
      return checked(buffer.subarray(0, bytesRead).toString('latin1').trimEnd(), path);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return await makeToken(path);
    if (errnoOf(error) === 'ELOOP') throw insecure(path, undefined);
    throw fileError(error, path);
  }
}

async function makeToken(path: string): Promise<string> {
  const token = randomBytes(TOKEN_BYTES).toString('base64url');
  try {
    const file = await open(path, 'wx', 0o600);
    try {
      await file.writeFile(`${token}\n`);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw fileError(error, path);
  }
  return token;
}

function checked(token: string, path: string): string {
  if (/^[\x21-\x7e]+$/.test(token) && token.length >= LEAST_CHARS && token.length <= MOST_CHARS) return token;
  throw new HearthError('CONFIG_INVALID', `${path} holds no token`, {
    hint: `Write one line of ${LEAST_CHARS} to ${MOST_CHARS} printable characters into it, or remove it: a new one is made.`,
    details: { path, leastChars: LEAST_CHARS, mostChars: MOST_CHARS },
  });
}

function insecure(path: string, mode: number | undefined): HearthError {
  return new HearthError('DAEMON_INSECURE', `the token file ${path} is not a file of this user alone`, {
    hint: `Make it yours: chmod 600 ${path}`,
    details: { path, mode: mode === undefined ? null : (mode & 0o7777).toString(8).padStart(4, '0') },
  });
}
