/** Downloads and uploads, carried out here. */
import type { Runtime } from '../sandboxes/index.js';
import { diskDownloads } from './disk-handlers.js';
import { fileDownloads, fileUploads } from './file-streams.js';
import { parseInput } from './parse-input.js';
import {
  DOWNLOAD_OPERATIONS,
  type Download,
  type DownloadHead,
  type DownloadName,
  type StreamService,
  UPLOAD_OPERATIONS,
  type UploadName,
  type UploadOutput,
} from './stream-operations.js';

export interface StreamOptions {
  readonly signal?: AbortSignal;
}

type Downloads = {
  readonly [N in DownloadName]: (
    input: ReturnType<(typeof DOWNLOAD_OPERATIONS)[N]['input']['parse']>,
    options: StreamOptions,
  ) => Promise<Download<DownloadHead<N>>>;
};
type Uploads = {
  readonly [N in UploadName]: (
    input: ReturnType<(typeof UPLOAD_OPERATIONS)[N]['input']['parse']>,
    content: AsyncIterable<Uint8Array>,
    options: StreamOptions,
  ) => Promise<UploadOutput<N>>;
};

export function createLocalStreams(runtime: Runtime): StreamService {
  const downloads: Downloads = { ...fileDownloads(runtime.files), ...diskDownloads(runtime.files.disks) };
  const uploads: Uploads = fileUploads(runtime.files);
  return {
    async download(name, input, options = {}) {
      const handler: (input: never, options: StreamOptions) => Promise<Download<DownloadHead<typeof name>>> =
        downloads[name];
      return await handler(parseInput(name, DOWNLOAD_OPERATIONS[name].input, input) as never, options);
    },
    async upload(name, input, content, options = {}) {
      const handler: (
        input: never,
        content: AsyncIterable<Uint8Array>,
        options: StreamOptions,
      ) => Promise<UploadOutput<typeof name>> = uploads[name];
      return await handler(parseInput(name, UPLOAD_OPERATIONS[name].input, input) as never, content, options);
    },
  };
}
