/** The ways to get an environment of the catalog, in the order of its entry. */
import { join } from 'node:path';
import { DEFAULT_PLATFORM, formatReference, type Platform, parseReference } from '../oci/index.js';
import type { CatalogEntry, CatalogSource } from './catalog-schema.js';
import type { StoreContext } from './context.js';
import type { SourceAttempt } from './source.js';
import { obtainArchive } from './sources/archive.js';
import { DEBIAN_PACKAGES_LABEL, obtainDebianPackages } from './sources/debian-packages.js';
import { convertImage, obtainOci } from './sources/oci.js';
import { obtainProfile, PROFILE_SOURCE_LABEL } from './sources/profile.js';

export type SourceType = CatalogSource['type'];

/** @param only Leaves out all other kinds of source. */
export function attemptsOf(
  entry: CatalogEntry,
  context: StoreContext,
  only?: SourceType,
  platform: Platform = DEFAULT_PLATFORM,
): SourceAttempt[] {
  return entry.sources
    .filter((source) => only === undefined || source.type === only)
    .map((source) => attemptOf(source, context, platform));
}

export function attemptOf(source: CatalogSource, context: StoreContext, platform: Platform): SourceAttempt {
  const { parts } = context;
  switch (source.type) {
    case 'profile':
      return {
        label: PROFILE_SOURCE_LABEL,
        isExpected: false,
        kernel: 'brought',
        obtain: (request) =>
          obtainProfile(join(context.profilesDirectory, source.profile), source.digest, request),
      };
    case 'oci': {
      const reference = parseReference(source.reference);
      return {
        label: `oci ${formatReference(reference)}`,
        kernel: 'unknown',
        obtain: (request) => obtainOci({ reference, digest: source.digest, platform }, request, parts),
      };
    }
    case 'archive':
      return {
        label: `archive ${source.url}`,
        kernel: 'brought',
        obtain: (request) => obtainArchive(source, request, parts.fetch),
      };
    case 'debian-packages':
      return {
        label: DEBIAN_PACKAGES_LABEL,
        kernel: 'needed',
        obtain: (request) =>
          obtainDebianPackages(source, request, (image, asked) => convertImage(image, asked, parts)),
      };
  }
}
