/**
 * Templates: `<template dir>/<name>/rootfs.ext4`, and whatever other places the caller knows of
 * (installed environments). One rule for links: neither the directory nor the image may be a
 * symbolic link; such a template does not exist.
 */
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../errors/index.js';
import { diskError } from './disk-error.js';
import { assertTemplateName, isFileName } from './names.js';

export const ROOTFS_FILE = 'rootfs.ext4';

export interface TemplateLocation {
  readonly name: string;
  /** Absolute path of an image that never changes. */
  readonly path: string;
}

/** Finds every template there is outside the template directory; a name there hides one of these. */
export type TemplateSource = () => Promise<readonly TemplateLocation[]>;

export interface FoundTemplate extends TemplateLocation {
  readonly sizeBytes: number;
}

/**
 * All templates, sorted by name. A template directory that does not exist holds none; entries that are
 * no templates (files, other directories, names that are not UTF-8, links) are passed over.
 *
 * @throws {HearthError} `FILE_UNREADABLE` when the directory cannot be read.
 */
export async function findTemplates(
  directory: string,
  sources: readonly TemplateSource[],
): Promise<FoundTemplate[]> {
  const found = new Map<string, FoundTemplate>();
  const candidates = [
    ...(await namesIn(directory)).map((name) => locate(directory, name)),
    ...(await Promise.all(sources.map((source) => source()))).flat(),
  ];
  for (const candidate of candidates) {
    if (found.has(candidate.name)) continue;
    const template = await regularImage(candidate, directory);
    if (template !== undefined) found.set(template.name, template);
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * One template by name; looks at no other.
 *
 * @throws {HearthError} `NAME_INVALID` when neither the directory could hold that name nor a source knows it.
 */
export async function findTemplate(
  directory: string,
  sources: readonly TemplateSource[],
  name: string,
): Promise<FoundTemplate | undefined> {
  if (isFileName(name)) {
    const template = await regularImage(locate(directory, name), directory);
    if (template !== undefined) return template;
  }
  for (const source of sources) {
    const location = (await source()).find((candidate) => candidate.name === name);
    const template = location && (await regularImage(location, directory));
    if (template !== undefined) return template;
  }
  assertTemplateName(name);
  return undefined;
}

function locate(directory: string, name: string): TemplateLocation {
  return { name, path: join(directory, name, ROOTFS_FILE) };
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    // A name that is not UTF-8 comes back as another one, which leads nowhere.
    return await readdir(directory);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw diskError(error, directory);
  }
}

async function regularImage(
  location: TemplateLocation,
  directory: string,
): Promise<FoundTemplate | undefined> {
  const own = location.path === join(directory, location.name, ROOTFS_FILE);
  try {
    if (own && !(await lstat(join(directory, location.name))).isDirectory()) return undefined;
    const image = await lstat(location.path);
    return image.isFile() ? { ...location, sizeBytes: image.size } : undefined;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return undefined;
    throw diskError(error, location.path);
  }
}
