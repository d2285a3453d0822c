/**
 * What runs on in one sandbox between calls: its services and shells. They belong to the sandbox, not to who started
 * them, and are taken up again by the next process that owns it.
 */
import type { Sandbox } from '../sandbox.js';
import type { ProcessOwner } from './held-process.js';
import { type ProcessRecords, readProcessRecords, writeProcessRecords } from './process-records.js';
import { Service } from './service.js';
import { Shell } from './shell.js';

export class SandboxBackground implements ProcessOwner {
  readonly sandbox: Sandbox;
  readonly services = new Map<string, Service>();
  readonly shells = new Map<number, Shell>();
  #saving: Promise<void> = Promise.resolve();

  constructor(sandbox: Sandbox) {
    this.sandbox = sandbox;
  }

  /** Takes up what the records speak of. */
  static async load(sandbox: Sandbox): Promise<SandboxBackground> {
    const background = new SandboxBackground(sandbox);
    const { services, shells } = await readProcessRecords(sandbox.directory);
    for (const record of services) {
      background.services.set(record.name, await Service.known(background, record));
    }
    for (const record of shells) background.shells.set(record.key.execId, Shell.known(background, record));
    return background;
  }

  /** Writes down what there is by now. */
  async save(): Promise<void> {
    const write = (): Promise<void> => writeProcessRecords(this.sandbox.directory, this.#records());
    const saving = this.#saving.then(write, write);
    this.#saving = saving.catch(() => {});
    await saving;
  }

  #records(): ProcessRecords {
    return {
      services: [...this.services.values()].flatMap(({ record }) => (record === undefined ? [] : [record])),
      shells: [...this.shells.values()].map(({ record }) => record),
    };
  }

  async release(): Promise<void> {
    for (const { held } of this.shells.values()) held.release();
    await Promise.all([...this.services.values()].map((service) => service.release()));
    await this.#saving;
  }
}
