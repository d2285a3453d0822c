/** The smallest image that is good for something: Debian's static busybox as every command it knows. */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { imageOf, type MadeImage, type MadeLayer, OCI_LAYER, sha256 } from './registry-images.js';

const BUSYBOX = '/bin/busybox';
const COMMANDS = [
  'sh',
  'cat',
  'echo',
  'env',
  'id',
  'ls',
  'pwd',
  'sleep',
  'true',
  'uname',
  'head',
  'wc',
  'yes',
  'dd',
];

/** One gzip layer with busybox, `/etc/passwd` and what `files` adds (absolute path to content). */
export function busyboxLayer(files: Readonly<Record<string, string>> = {}): MadeLayer {
  const root = mkdtempSync(join(tmpdir(), 'hearth-busybox-'));
  try {
    // mkdtemp makes it private, and it becomes the root directory of the image.
    chmodSync(root, 0o755);
    for (const directory of ['bin', 'etc', 'tmp', 'app']) mkdirSync(join(root, directory));
    copyFileSync(BUSYBOX, join(root, 'bin/busybox'));
    for (const command of COMMANDS) symlinkSync('busybox', join(root, 'bin', command));
    writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/app:/bin/sh\n');
    writeFileSync(join(root, 'etc/group'), 'root:x:0:\napp:x:1000:\n');
    for (const [path, content] of Object.entries(files)) writeFileSync(join(root, path), content);
    const tar = execFileSync(
      'tar',
      ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner', '-C', root, '-cf', '-', '.'],
      {
        maxBuffer: 64 * 1024 * 1024,
      },
    );
    const bytes = gzipSync(tar, { level: 1 });
    return { digest: sha256(bytes), bytes, mediaType: OCI_LAYER, diffId: sha256(tar) };
  } finally {
    rmSync(root, { recursive: true });
  }
}

/** The image of {@link busyboxLayer} with this configuration. */
export function busyboxImage(
  run: object = { Cmd: ['/bin/sh'] },
  files: Readonly<Record<string, string>> = {},
): MadeImage {
  return imageOf([busyboxLayer(files)], { run });
}
