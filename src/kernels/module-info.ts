/**
 * What a kernel module says of itself in its `.modinfo` section.
 *
 * Source: Linux 6.1, include/linux/moduleinfo.h, scripts/mod/modpost.c (`depends=`); modprobe.d(5) (`softdep`).
 * Read from the modules themselves, because `modules.dep` exists only after depmod ran, which a package that
 * has only been unpacked lacks.
 */
import { readElf } from './elf.js';

export interface ModuleInfo {
  /** Kernel release and options the module was built for, up to the first space: `6.1.0-9-cloud-amd64`. */
  readonly release: string | undefined;
  /** Modules that must be loaded before, as normalised names. */
  readonly requires: readonly string[];
  /** Modules that should be loaded before when they exist. */
  readonly wants: readonly string[];
}

/** The one spelling of a module's name: the kernel treats `-` and `_` alike. */
export function moduleName(name: string): string {
  return name.replaceAll('-', '_');
}

/**
 * @param what Names the module in messages.
 * @throws {HearthError} `KERNEL_INVALID` when it is not a kernel module for x86-64.
 */
export function readModuleInfo(bytes: Uint8Array, what: string): ModuleInfo {
  const section = readElf(bytes, what).section('.modinfo') ?? new Uint8Array(0);
  const fields = Buffer.from(section).toString('latin1').split('\0');
  const values = (key: string): string[] =>
    fields.filter((field) => field.startsWith(`${key}=`)).map((field) => field.slice(key.length + 1));

  return {
    release: values('vermagic')[0]?.split(' ')[0],
    requires: values('depends')
      .flatMap((list) => list.split(','))
      .filter((name) => name !== '')
      .map(moduleName),
    wants: values('softdep').flatMap(preDependencies),
  };
}

/** `pre: a b post: c` → a, b. */
function preDependencies(softdep: string): string[] {
  const before = /(?:^|\s)pre:(.*?)(?:\spost:|$)/.exec(softdep)?.[1] ?? '';
  return before
    .split(/\s+/)
    .filter((name) => name !== '')
    .map(moduleName);
}
