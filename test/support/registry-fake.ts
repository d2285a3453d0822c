/** A registry that misbehaves on demand: serves hand-made images correctly unless a test steps in. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { indexOf, type MadeBlob, type MadeImage, OCI_INDEX, OCI_MANIFEST } from './registry-images.js';

interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
  /** How often this method and path have been asked for before. */
  readonly repeat: number;
}

/** Handles a request itself and returns true, or leaves it to the honest registry. */
export type Intercept = (
  seen: SeenRequest,
  request: IncomingMessage,
  response: ServerResponse,
) => boolean | Promise<boolean>;

export interface FakeRegistry extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  readonly origin: string;
  readonly seen: readonly SeenRequest[];
  /** Requests whose path contains `part`. */
  count(part: string): number;
}

export interface FakeRegistryOptions {
  readonly images?: readonly MadeImage[];
  readonly intercept?: Intercept;
  /** Serves HTTPS. */
  readonly tls?: { readonly key: string; readonly cert: string };
}

/** Serves `images` as `test:1` (an index if there are several), every manifest and blob by digest. */
export async function startFakeRegistry(options: FakeRegistryOptions = {}): Promise<FakeRegistry> {
  const { images = [], intercept, tls } = options;
  const blobs = new Map<string, { bytes: Buffer; mediaType: string }>();
  const put = ({ digest, bytes }: MadeBlob, mediaType: string): void => {
    blobs.set(digest, { bytes, mediaType });
  };
  for (const image of images) {
    put(image.manifest, OCI_MANIFEST);
    put(image.config, 'application/octet-stream');
    for (const layer of image.layers) put(layer, 'application/octet-stream');
  }
  const index = indexOf(images);
  put(index, OCI_INDEX);
  const top = images.length === 1 ? images[0]?.manifest.digest : index.digest;
  const seen: SeenRequest[] = [];

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = '', url: path = '' } = request;
    const entry: SeenRequest = {
      method,
      path,
      authorization: request.headers.authorization,
      range: request.headers.range,
      repeat: seen.filter((other) => other.method === method && other.path === path).length,
    };
    seen.push(entry);
    if ((await intercept?.(entry, request, response)) === true) return;
    const wanted = /\/(?:manifests|blobs)\/([^/?]+)(?:\?|$)/.exec(path)?.[1] ?? '';
    const digest = wanted === '1' ? (top ?? '') : wanted;
    serve(blobs.get(digest), digest, request, response);
  };
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    handle(request, response).catch((error: unknown) => response.destroy(error as Error));
  };
  const server: Server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    host: `127.0.0.1:${port}`,
    port,
    origin: `http${tls === undefined ? '' : 's'}://127.0.0.1:${port}`,
    seen,
    count: (part) => seen.filter(({ path }) => path.includes(part)).length,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function serve(
  blob: { bytes: Buffer; mediaType: string } | undefined,
  digest: string,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  if (blob === undefined) {
    json(response, 404, { errors: [{ code: 'MANIFEST_UNKNOWN', message: 'unknown' }] });
    return;
  }
  const { bytes, mediaType } = blob;
  const headers = { 'content-type': mediaType, 'docker-content-digest': digest };
  const offset = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1];
  if (offset === undefined) {
    response.writeHead(200, { ...headers, 'content-length': bytes.byteLength });
    response.end(request.method === 'HEAD' ? undefined : bytes);
    return;
  }
  if (Number(offset) >= bytes.byteLength) {
    response.writeHead(416, { 'content-range': `bytes */${bytes.byteLength}` }).end();
    return;
  }
  const rest = bytes.subarray(Number(offset));
  const range = `bytes ${offset}-${bytes.byteLength - 1}/${bytes.byteLength}`;
  response.writeHead(206, { ...headers, 'content-length': rest.byteLength, 'content-range': range });
  response.end(rest);
}

export function json(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}
