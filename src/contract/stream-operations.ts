/**
 * Operations that move bytes: a download gives a head and then bytes, an upload takes bytes and gives an
 * answer. Over HTTP the input is JSON in a header and the bytes are a body, so that each side holds the other
 * back; `stream-wire.ts` has the names.
 */
import type { Readable } from 'node:stream';
import type { z } from 'zod';
import { DISK_DOWNLOADS } from './disk-operations.js';
import { FILE_DOWNLOADS, FILE_UPLOADS } from './file-operations.js';

export const DOWNLOAD_OPERATIONS = { ...FILE_DOWNLOADS, ...DISK_DOWNLOADS } as const;
export const UPLOAD_OPERATIONS = { ...FILE_UPLOADS } as const;

export type DownloadName = keyof typeof DOWNLOAD_OPERATIONS;
export type DownloadInput<N extends DownloadName> = z.input<(typeof DOWNLOAD_OPERATIONS)[N]['input']>;
export type DownloadHead<N extends DownloadName> = z.output<(typeof DOWNLOAD_OPERATIONS)[N]['head']>;
export type UploadName = keyof typeof UPLOAD_OPERATIONS;
export type UploadInput<N extends UploadName> = z.input<(typeof UPLOAD_OPERATIONS)[N]['input']>;
export type UploadOutput<N extends UploadName> = z.output<(typeof UPLOAD_OPERATIONS)[N]['output']>;

export interface Download<H> {
  /** Known before the first byte. */
  readonly head: H;
  /** Fails with what went wrong; complete only when it has ended. Destroy it to give it up. */
  readonly content: Readable;
}

/** The streams of a service. */
export interface StreamService {
  /** Takes bytes out; resolves once its head is known. */
  download<N extends DownloadName>(
    name: N,
    input: DownloadInput<N>,
    options?: { readonly signal?: AbortSignal },
  ): Promise<Download<DownloadHead<N>>>;
  /** Brings bytes in. Reads of `content` what it can use, and no further once it has failed. */
  upload<N extends UploadName>(
    name: N,
    input: UploadInput<N>,
    content: AsyncIterable<Uint8Array>,
    options?: { readonly signal?: AbortSignal },
  ): Promise<UploadOutput<N>>;
}

export const isDownload = (name: string): name is DownloadName => Object.hasOwn(DOWNLOAD_OPERATIONS, name);
export const isUpload = (name: string): name is UploadName => Object.hasOwn(UPLOAD_OPERATIONS, name);
