/** OCI layouts on disk, for programs that are not hearth. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Writes a layout with one image named `image`, of uncompressed layers, base first. */
export function writeLayout(directory: string, tars: readonly Uint8Array[]): void {
  mkdirSync(join(directory, 'blobs', 'sha256'), { recursive: true });
  const put = (bytes: Uint8Array, mediaType: string): { mediaType: string; digest: string; size: number } => {
    const hex = createHash('sha256').update(bytes).digest('hex');
    writeFileSync(join(directory, 'blobs', 'sha256', hex), bytes);
    return { mediaType, digest: `sha256:${hex}`, size: bytes.byteLength };
  };
  const json = (value: unknown, mediaType: string): ReturnType<typeof put> =>
    put(Buffer.from(JSON.stringify(value)), mediaType);
  const layers = tars.map((tar) => put(tar, 'application/vnd.oci.image.layer.v1.tar'));
  const config = json(
    {
      os: 'linux',
      architecture: 'amd64',
      config: {},
      rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
    },
    'application/vnd.oci.image.config.v1+json',
  );
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = json({ schemaVersion: 2, mediaType, config, layers }, mediaType);
  const annotations = { 'org.opencontainers.image.ref.name': 'image' };
  writeFileSync(
    join(directory, 'index.json'),
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }),
  );
  writeFileSync(join(directory, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
}
