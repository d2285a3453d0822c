/** Where a copy lands, by the rules of `cp -a` and of every container engine; the same both ways. */
import { HearthError } from '../errors/index.js';

export interface CopySource {
  readonly kind: 'directory' | 'other';
  /** Its last part; of `.` and `/` that is `.`. */
  readonly name: string;
  /** Given as `DIRECTORY/.`: what is in it, not itself. */
  readonly contents: boolean;
  /** As it was given, for people. */
  readonly shown: string;
}

export interface CopyTarget {
  readonly kind: 'directory' | 'other' | 'missing';
  /** Without slashes at its end, unless it is the root. */
  readonly path: string;
  /** It was given with a slash at its end: only a directory will do. */
  readonly wantsDirectory: boolean;
  readonly shown: string;
}

export interface CopyPlan {
  /** The directory to copy into. */
  readonly directory: string;
  /** What the source is called there; `.` for what is in it alone. */
  readonly name: string;
  /** Nothing of that name is there. */
  readonly isNew: boolean;
}

/** @throws {HearthError} `COPY_TARGET_CONFLICT`; `FILE_NOT_FOUND` for a missing directory. */
export function planCopy(source: CopySource, target: CopyTarget): CopyPlan {
  const contents = source.contents || source.name === '.';
  if (target.kind === 'directory') {
    return contents && source.kind === 'directory'
      ? { directory: target.path, name: '.', isNew: false }
      : { directory: target.path, name: source.name, isNew: false };
  }
  if (target.kind === 'other' && source.kind === 'directory') {
    throw conflict(`${target.shown} is not a directory, and ${source.shown} is one`, target);
  }
  if (target.kind === 'other' && target.wantsDirectory) {
    throw conflict(`${target.shown} is not a directory`, target);
  }
  if (target.kind === 'missing' && target.wantsDirectory && source.kind !== 'directory') {
    throw new HearthError('FILE_NOT_FOUND', `no directory ${target.shown}`, {
      hint: 'Make it first, or give the name that the file shall have.',
      details: { path: target.path },
    });
  }
  const slash = target.path.lastIndexOf('/');
  const name = target.path.slice(slash + 1);
  if (name === '' || name === '.' || name === '..') {
    throw new HearthError('FILE_NOT_FOUND', `no directory ${target.shown}`, {
      hint: 'Check the spelling of the path.',
      details: { path: target.path },
    });
  }
  const directory = slash === -1 ? '.' : target.path.slice(0, slash) || '/';
  return { directory, name, isNew: target.kind === 'missing' };
}

/** A path without the slashes at its end. */
export function withoutSlashes(path: string): string {
  return path.replace(/(?<=.)\/+$/, '');
}

/** The last part of the path of a source, and whether only what is in it is meant. */
export function sourceName(path: string): { readonly name: string; readonly contents: boolean } {
  const contents = path === '.' || path.endsWith('/.');
  const whole = withoutSlashes(path.replace(/(?<=^|\/)\.$/, ''));
  const name = whole.slice(whole.lastIndexOf('/') + 1);
  return { name: name === '' || name === '..' ? '.' : name, contents: contents || name === '..' };
}

function conflict(message: string, { path }: CopyTarget): HearthError {
  return new HearthError('COPY_TARGET_CONFLICT', message, {
    hint: 'Copy to another place, or remove what is there first.',
    details: { path },
  });
}
