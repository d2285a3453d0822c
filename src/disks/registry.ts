/**
 * Templates, and the disks of VMs that are clones of them: `<clones dir>/<safe vm id>/rootfs.ext4`.
 *
 * Everything that changes a slot happens under a kernel lock that dies with its holder, so any number of
 * processes may share the two directories. Does not know whether a VM runs from a disk: growing and
 * releasing is for stopped VMs, and the caller sees to that.
 */
import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { HearthError } from '../errors/index.js';
import type { CloneForVmOptions, RootfsClone, Template } from './clone-types.js';
import { createClone } from './create-clone.js';
import { onDisk } from './disk-error.js';
import { growthOf, virtualSize } from './grow-clone.js';
import { HashCache } from './hash-cache.js';
import { safeVmId } from './names.js';
import { assertDiskSize, shrinkRefused } from './resize-ext4.js';
import { assertOwner, reuseClone } from './reuse-clone.js';
import { type DiskSettings, diskSettings } from './settings.js';
import { readSizeStamp, readSlot, readStamp } from './slot.js';
import { SlotsDir } from './slots-dir.js';
import { type FoundTemplate, findTemplate, findTemplates, type TemplateSource } from './template-dir.js';

export interface RootfsRegistryOptions extends DiskSettings {
  /** More templates, for example installed environments. */
  readonly sources?: readonly TemplateSource[];
  /** Told once per process that a clone had to copy its whole template. Default `process.emitWarning`. */
  readonly onWarning?: (message: string) => void;
}

let warnedOfCopy = false;

export class RootfsRegistry {
  readonly templateDir: string;
  readonly clonesDir: string;
  readonly #resize2fsPath: string;
  readonly #sources: readonly TemplateSource[];
  readonly #warn: (message: string) => void;
  readonly #hashes: HashCache;
  readonly #slots: SlotsDir;

  constructor(options: RootfsRegistryOptions) {
    this.templateDir = resolve(options.templateDir);
    this.clonesDir = resolve(options.clonesDir);
    this.#resize2fsPath = options.resize2fsPath;
    this.#sources = options.sources ?? [];
    this.#warn =
      options.onWarning ?? ((message) => process.emitWarning(message, { code: 'HEARTH_FULL_COPY' }));
    // No safe id has a dot.
    this.#hashes = new HashCache(join(this.clonesDir, '.hashes'));
    this.#slots = new SlotsDir(this.clonesDir);
  }

  /** A registry on the directories that the environment names; see `diskSettings`. */
  static fromEnv(
    env: Readonly<Record<string, string | undefined>> = process.env,
    options: Pick<RootfsRegistryOptions, 'sources' | 'onWarning'> = {},
  ): RootfsRegistry {
    return new RootfsRegistry({ ...diskSettings(env), ...options });
  }

  /** All templates with their hashes, sorted by name. No template directory: no templates. */
  async templates(): Promise<Template[]> {
    const templates: Template[] = [];
    for (const found of await findTemplates(this.templateDir, this.#sources)) {
      templates.push(await this.#hashed(found));
    }
    return templates;
  }

  /**
   * One template, or undefined when there is none of that name.
   *
   * @throws {HearthError} `NAME_INVALID` for a name that could lead out of the template directory.
   */
  async template(name: string): Promise<Template | undefined> {
    const found = await findTemplate(this.templateDir, this.#sources, name);
    return found && this.#hashed(found);
  }

  /**
   * Gives a VM its disk: a clone of the template, or, when it has one of this template already, that one.
   *
   * @throws {HearthError} `TEMPLATE_NOT_FOUND`, `NAME_INVALID`; `CLONE_STAMP_MISMATCH` when the template
   *   is another than the disk was cloned from; `CLONE_ID_CONFLICT` when another id has this one's
   *   directory; `CLONE_FORMAT_MISMATCH`; `CLONE_INVALID`; those of `cloneDisk`; `STORE_LOCKED`. Nothing
   *   half-made is left; an existing disk is never replaced: release it first.
   */
  async cloneForVm(vmId: string, name: string, options: CloneForVmOptions = {}): Promise<RootfsClone> {
    return this.#obtain(vmId, name, undefined, options);
  }

  /**
   * The same with a disk of `sizeBytes`, which a clone that has the template's size is grown to.
   *
   * @throws {HearthError} Also `DISK_SHRINK_REFUSED` below the template's size; `CLONE_SIZE_MISMATCH` when
   *   the disk has been grown to another size before; those of `resizeExt4Image`.
   */
  async cloneForVmWithSize(
    vmId: string,
    name: string,
    sizeBytes: number,
    options: CloneForVmOptions = {},
  ): Promise<RootfsClone> {
    assertDiskSize(sizeBytes);
    return this.#obtain(vmId, name, sizeBytes, options);
  }

  /** Removes a VM's disk and all beside it. Idempotent. Throws `CLONE_ID_CONFLICT` for another id's disk. */
  async release(vmId: string, options: Pick<CloneForVmOptions, 'timeoutMs' | 'signal'> = {}): Promise<void> {
    const slotName = safeVmId(vmId);
    if (!(await this.#slots.exist())) return;
    await this.#slots.locked(slotName, options, async () => {
      const slot = await readSlot(this.#slots.directory(slotName)).catch((error: unknown) => {
        // Releasing is how to get rid of what is not a clone.
        if (HearthError.is(error) && error.code === 'CLONE_INVALID') return undefined;
        throw error;
      });
      if (slot !== undefined) assertOwner(slot, vmId);
      await this.#slots.remove(slotName);
    });
  }

  /** Every whole clone, sorted by id. What is not a whole clone is passed over. */
  async clones(): Promise<RootfsClone[]> {
    const clones: RootfsClone[] = [];
    for (const slotName of await this.#slots.names()) {
      const clone = await this.#describe(slotName).catch((error: unknown) => {
        if (HearthError.is(error) && ['CLONE_INVALID', 'FILE_NOT_FOUND'].includes(error.code))
          return undefined;
        throw error;
      });
      if (clone !== undefined) clones.push(clone);
    }
    return clones;
  }

  /** @throws {HearthError} `CLONE_NOT_FOUND`; `CLONE_INVALID`. */
  async inspect(vmId: string): Promise<RootfsClone> {
    const slotName = safeVmId(vmId);
    const clone = await this.#describe(slotName);
    if (clone !== undefined) return clone;
    throw new HearthError('CLONE_NOT_FOUND', `no disk of ${vmId} in ${this.clonesDir}`, {
      hint: 'Run `hearth disk clone` to make one.',
      details: { vmId, clonesDir: this.clonesDir },
    });
  }

  /**
   * Grows the disk that a VM has, also one that has been grown before; the same size is no change.
   *
   * @throws {HearthError} `CLONE_NOT_FOUND`, `DISK_SHRINK_REFUSED`, and as `cloneForVmWithSize`.
   */
  async resize(vmId: string, sizeBytes: number, options: CloneForVmOptions = {}): Promise<RootfsClone> {
    assertDiskSize(sizeBytes);
    const { template } = await this.inspect(vmId);
    return this.#obtain(vmId, template, sizeBytes, { format: 'auto', ...options }, true);
  }

  async #hashed({ name, path, sizeBytes }: FoundTemplate): Promise<Template> {
    return { name, path, sizeBytes, sha256: await this.#hashes.sha256(path) };
  }

  async #obtain(
    vmId: string,
    name: string,
    targetBytes: number | undefined,
    options: CloneForVmOptions,
    regrow = false,
  ): Promise<RootfsClone> {
    const slotName = safeVmId(vmId);
    const found = await findTemplate(this.templateDir, this.#sources, name);
    if (found === undefined) throw templateNotFound(name, this.templateDir);
    if (targetBytes !== undefined && targetBytes < found.sizeBytes) {
      throw shrinkRefused(`template ${name}`, found.sizeBytes, targetBytes);
    }
    const unchanged = await watchForChange(found.path);
    const template = await this.#hashed(found);
    options.signal?.throwIfAborted();

    const request = { vmId, template, targetBytes, regrow, resize2fsPath: this.#resize2fsPath, options };
    return this.#slots.locked(slotName, options, async () => {
      const slot = await readSlot(this.#slots.directory(slotName));
      if (slot === undefined) {
        const staging = await this.#slots.makeStaging(slotName);
        try {
          await createClone(staging, request);
          await unchanged();
          await this.#slots.publish(staging, slotName);
        } catch (error) {
          await this.#slots.discard(staging);
          throw error;
        }
      } else {
        await reuseClone(slot, request);
      }
      const clone = await this.inspect(vmId);
      if (clone.rung === 'sparse-copy') this.#warnOfCopy(clone);
      return clone;
    });
  }

  async #describe(slotName: string): Promise<RootfsClone | undefined> {
    const slot = await readSlot(this.#slots.directory(slotName));
    if (slot === undefined) return undefined;
    const { vmId: owner, template, format, rung, readOnly, backingPath } = slot.record;
    return {
      vmId: slotName,
      owner,
      template,
      path: slot.diskPath,
      format,
      rung,
      readOnly,
      sourceSha256: await readStamp(slot.directory),
      sizeBytes: await virtualSize(slot),
      growth: growthOf(slot, await readSizeStamp(slot.directory)),
      backingPath: backingPath ?? undefined,
    };
  }

  #warnOfCopy({ template }: RootfsClone): void {
    if (warnedOfCopy) return;
    warnedOfCopy = true;
    this.#warn(
      `cloning ${template} copies the whole image: ${this.clonesDir} is on a file system without reflinks ` +
        '(xfs and btrfs have them), or not on the same one as the template',
    );
  }
}

function templateNotFound(name: string, templateDir: string): HearthError {
  return new HearthError(
    'TEMPLATE_NOT_FOUND',
    `template ${JSON.stringify(name)} not found under ${templateDir}`,
    {
      hint: 'Run `hearth disk templates` to see which there are.',
      details: { name, templateDir },
    },
  );
}

/**
 * Notes which file `path` is.
 *
 * @returns A function that throws `TEMPLATE_CHANGED` unless it still is that file, unmodified. Not by
 *   ctime: a hard link changes that.
 */
async function watchForChange(path: string): Promise<() => Promise<void>> {
  const identity = async (): Promise<string> => {
    const { dev, ino, size, mtimeNs } = await onDisk(path, () => stat(path, { bigint: true }));
    return [dev, ino, size, mtimeNs].join();
  };
  const before = await identity();
  return async () => {
    if ((await identity()) === before) return;
    throw new HearthError('TEMPLATE_CHANGED', `the template ${path} changed while it was being cloned`, {
      hint: 'Write templates aside and rename them into place, then clone again.',
      details: { path },
    });
  };
}
