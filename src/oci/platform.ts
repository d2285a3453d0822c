/**
 * Platforms: os/architecture[/variant], with Go's names. Source: image-spec v1.1.1, image-index.md.
 * Which entry of an index suits a platform is decided here; fetching it is not.
 */
import { HearthError } from '../errors/index.js';

export interface Platform {
  /** Go's GOOS: `linux`. */
  readonly os: string;
  /** Go's GOARCH: `amd64`, `arm64`. */
  readonly architecture: string;
  /** Absent when it is the architecture's baseline (`amd64` = v1, `arm64` = v8, `arm` = v7). */
  readonly variant?: string;
}

export const DEFAULT_PLATFORM: Platform = { os: 'linux', architecture: 'amd64' };

const PART = /^[a-z0-9][a-z0-9_.-]{0,63}$/;
const ARCHITECTURE_ALIASES: Readonly<Record<string, readonly [architecture: string, variant?: string]>> = {
  x86_64: ['amd64'],
  'x86-64': ['amd64'],
  i386: ['386'],
  i686: ['386'],
  aarch64: ['arm64'],
  armhf: ['arm', 'v7'],
  armel: ['arm', 'v6'],
};
/** What an architecture without a variant means. */
const BASELINE: Readonly<Record<string, string>> = { amd64: 'v1', arm64: 'v8', arm: 'v7' };
/** The oldest variant that any machine of the architecture understands. */
const OLDEST: Readonly<Record<string, number>> = { amd64: 1, arm64: 8, arm: 5 };

/** The one spelling of a platform: aliases of architectures resolved, baseline variants left out. */
export function normalizePlatform(os: string, architecture: string, variant?: string): Platform {
  const lower = architecture.toLowerCase();
  const alias = Object.hasOwn(ARCHITECTURE_ALIASES, lower) ? ARCHITECTURE_ALIASES[lower] : undefined;
  const name = alias?.[0] ?? lower;
  let level = (variant ?? '').toLowerCase() || alias?.[1];
  if (level !== undefined && /^\d/.test(level)) level = `v${level}`;
  const isBaseline = level === undefined || (Object.hasOwn(BASELINE, name) && BASELINE[name] === level);
  return { os: os.toLowerCase(), architecture: name, ...(isBaseline ? {} : { variant: level ?? '' }) };
}

/**
 * Parses `os/architecture`, `os/architecture/variant` or an architecture alone (then of Linux).
 *
 * @throws {HearthError} `PLATFORM_INVALID`.
 */
export function parsePlatform(text: string): Platform {
  const parts = text.trim().toLowerCase().split('/');
  const [os, architecture, variant] = parts.length === 1 ? ['linux', ...parts] : parts;
  if (
    os === undefined ||
    architecture === undefined ||
    parts.length > 3 ||
    !parts.every((p) => PART.test(p))
  ) {
    throw new HearthError('PLATFORM_INVALID', `not a platform: ${JSON.stringify(text.slice(0, 100))}`, {
      hint: 'Write os/architecture, for example linux/amd64.',
      details: { text: text.slice(0, 100) },
    });
  }
  return normalizePlatform(os, architecture, variant);
}

export function formatPlatform({ os, architecture, variant }: Platform): string {
  return variant === undefined ? `${os}/${architecture}` : `${os}/${architecture}/${variant}`;
}

function level({ architecture, variant }: Platform): number | undefined {
  const text = variant ?? (Object.hasOwn(BASELINE, architecture) ? BASELINE[architecture] : undefined);
  const match = /^v(\d{1,2})$/.exec(text ?? '');
  return match === null ? undefined : Number(match[1]);
}

/**
 * How well `offered` runs where `wanted` is asked for: 0 is exact, larger is an older variant that a newer
 * machine still runs, undefined is not at all. `amd64/v3` runs v3, v2 and v1; `amd64` runs only v1.
 */
export function platformDistance(wanted: Platform, offered: Platform): number | undefined {
  const want = normalizePlatform(wanted.os, wanted.architecture, wanted.variant);
  const offer = normalizePlatform(offered.os, offered.architecture, offered.variant);
  if (want.os !== offer.os || want.architecture !== offer.architecture) return undefined;
  if (want.variant === offer.variant) return 0;
  const wantLevel = level(want);
  const offerLevel = level(offer);
  const oldest = Object.hasOwn(OLDEST, want.architecture) ? OLDEST[want.architecture] : undefined;
  if (wantLevel === undefined || offerLevel === undefined || oldest === undefined) return undefined;
  return offerLevel >= oldest && offerLevel <= wantLevel ? wantLevel - offerLevel : undefined;
}
