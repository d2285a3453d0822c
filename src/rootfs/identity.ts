/** What makes two images the same image: derived, never drawn, so that the same input gives the same bytes. */
import { createHash } from 'node:crypto';
import type { Image } from '../oci/index.js';

/** Grows whenever the same layers and parameters would give other bytes than before. */
export const ROOTFS_FORMAT_VERSION = 1;

export interface RootfsIdentity {
  /** 16 bytes, a version 8 UUID. */
  readonly uuid: Uint8Array;
  /** 16 bytes. */
  readonly hashSeed: Uint8Array;
  /** The image's creation time where its config names one, else 0. */
  readonly createdAtSeconds: number;
}

/** Source of the UUID's form: RFC 9562, section 5.8. */
export function rootfsIdentity(image: Image, sizeBytes: number | undefined): RootfsIdentity {
  const name = `hearth rootfs ${ROOTFS_FORMAT_VERSION}\n${image.manifestDigest}\n${sizeBytes ?? 'default'}\n`;
  const bytes = createHash('sha256').update(name).digest();
  const uuid = new Uint8Array(bytes.subarray(0, 16));
  uuid[6] = ((uuid[6] ?? 0) & 0x0f) | 0x80;
  uuid[8] = ((uuid[8] ?? 0) & 0x3f) | 0x80;
  const created = Date.parse(image.config.created ?? '');
  return {
    uuid,
    hashSeed: new Uint8Array(bytes.subarray(16, 32)),
    createdAtSeconds: created > 0 ? Math.floor(created / 1000) : 0,
  };
}
