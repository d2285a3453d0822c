/** An installed environment as the rest of hearth sees it. */
import { join } from 'node:path';
import {
  INITRD_FILE,
  type InstallManifest,
  KERNEL_FILE,
  MANIFEST_FILE,
  ROOTFS_FILE,
} from './install-manifest.js';

/** How the image wants to be run; empty values say nothing. */
export interface RunConfig {
  /** `NAME=value`, in order. */
  readonly env: readonly string[];
  readonly workingDir: string;
  readonly user: string;
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
}

export interface Environment {
  readonly installed: true;
  readonly name: string;
  readonly version: string;
  readonly platform: string;
  readonly origin: InstallManifest['origin'];
  /** Canonical reference that it was asked for by; null unless `origin` is `reference`. */
  readonly reference: string | null;
  readonly directory: string;
  /** The ext4 image: a template, never written to. */
  readonly rootfsPath: string;
  readonly rootfsDigest: string | undefined;
  readonly kernelPath: string;
  /** Undefined when its kernel came without an initrd and is none that hearth can pack one for. */
  readonly initrdPath: string | undefined;
  readonly kernel: InstallManifest['kernel'];
  readonly imageConfig: RunConfig;
  readonly source: string;
  readonly sourceDigest: string | null;
  readonly installedAt: string;
  readonly manifestPath: string;
  readonly installManifest: InstallManifest;
}

export function toEnvironment(directory: string, manifest: InstallManifest): Environment {
  const { image_config: config } = manifest;
  return {
    installed: true,
    name: manifest.name,
    version: manifest.version,
    platform: manifest.platform ?? '',
    origin: manifest.origin,
    reference: manifest.reference,
    directory,
    rootfsPath: join(directory, ROOTFS_FILE),
    rootfsDigest: manifest.artifacts[ROOTFS_FILE]?.digest,
    kernelPath: join(directory, KERNEL_FILE),
    initrdPath: manifest.artifacts[INITRD_FILE] === undefined ? undefined : join(directory, INITRD_FILE),
    kernel: manifest.kernel,
    imageConfig: {
      env: config.Env,
      workingDir: config.WorkingDir,
      user: config.User,
      entrypoint: config.Entrypoint,
      cmd: config.Cmd,
    },
    source: manifest.source,
    sourceDigest: manifest.source_digest,
    installedAt: String(manifest.installed_at),
    manifestPath: join(directory, MANIFEST_FILE),
    installManifest: manifest,
  };
}
