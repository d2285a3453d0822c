/**
 * Digests: the name of bytes as stored. Source: image-spec v1.1.1, descriptor.md, "Digests".
 * Only registered algorithms are accepted: sha256, and sha512.
 */
import { createHash, type Hash } from 'node:crypto';
import { HearthError } from '../errors/index.js';

/** `sha256:` and 64 lower-case hexadecimal digits, or `sha512:` and 128. Safe as part of a path. */
export type Digest = string & { readonly __digest: unique symbol };

export type DigestAlgorithm = 'sha256' | 'sha512';

const DIGEST = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;
const SHOWN_CHARS = 160;

export function isDigest(value: unknown): value is Digest {
  return typeof value === 'string' && DIGEST.test(value);
}

/** @throws {HearthError} `DIGEST_INVALID`. */
export function parseDigest(text: string): Digest {
  if (isDigest(text)) return text;
  throw new HearthError('DIGEST_INVALID', `not a digest: ${JSON.stringify(text.slice(0, SHOWN_CHARS))}`, {
    hint: 'Write sha256: followed by 64 lower-case hexadecimal digits.',
    details: { text: text.slice(0, SHOWN_CHARS) },
  });
}

export function digestAlgorithm(digest: Digest): DigestAlgorithm {
  return digest.startsWith('sha512:') ? 'sha512' : 'sha256';
}

/** The part after the colon. */
export function digestHex(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1);
}

/** The digest of `bytes`. */
export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return digestOfHash(createHash(algorithm).update(bytes), algorithm);
}

/** The digest that a hash object has arrived at; the hash cannot be used afterwards. */
export function digestOfHash(hash: Hash, algorithm: DigestAlgorithm): Digest {
  return parseDigest(`${algorithm}:${hash.digest('hex')}`);
}
