/** The secrets of one sandbox: kept for as long as it is there, given to its guest, taken out of what it says. */
import type { AgentClient, GuestProcess } from '../../agent/index.js';
import { redactedProcess } from './redacted-process.js';
import { Redactor } from './redactor.js';
import { assertSecrets, type Secret, secretVariables } from './secret.js';
import { giveSecrets } from './secret-files.js';
import type { SecretRecord } from './secret-record.js';
import type { SecretStore } from './secret-store.js';

export interface SecretsHolder {
  readonly id: string;
  readonly name: () => string;
  readonly secrets: () => readonly SecretRecord[];
}

export class SandboxSecrets {
  readonly #store: SecretStore;
  readonly #holder: SecretsHolder;
  #loaded: Promise<{ readonly values: ReadonlyMap<string, string>; readonly redactor: Redactor }> | undefined;

  constructor(store: SecretStore, holder: SecretsHolder) {
    this.#store = store;
    this.#holder = holder;
  }

  /**
   * What a command of it needs: variables with the secrets that it wants, and a cover for its output.
   *
   * @param wanted Names of secrets, by the variables that are to hold them.
   * @throws {HearthError} `SECRET_NOT_FOUND`.
   */
  async forCommand(wanted: Readonly<Record<string, string>> = {}): Promise<{
    readonly variables: Record<string, string>;
    readonly cover: (process: GuestProcess) => GuestProcess;
  }> {
    const { values, redactor } = await this.#load();
    return {
      variables: secretVariables(wanted, values, this.#holder.name()),
      cover: (process) => redactedProcess(process, redactor),
    };
  }

  /** Puts them where the guest's programs find them. */
  async give(agent: AgentClient): Promise<void> {
    const { values } = await this.#load();
    await giveSecrets(agent, values);
  }

  /** For anything else that its guest says. */
  async redactor(): Promise<Redactor> {
    return (await this.#load()).redactor;
  }

  /**
   * Adds these, or replaces those of their names.
   *
   * @returns The field of the record that changes.
   * @throws {HearthError} `SECRET_INVALID`, `SECRETS_UNAVAILABLE`.
   */
  async updated(secrets: readonly Secret[] = []): Promise<{ readonly secrets?: SecretRecord[] }> {
    if (secrets.length === 0) return {};
    assertSecrets(secrets);
    const { values } = await this.#load();
    const merged = new Map([...values, ...secrets.map(({ name, value }) => [name, value] as const)]);
    const records = new Map(this.#holder.secrets().map((record) => [record.name, record]));
    for (const { name, source = 'value' } of secrets) records.set(name, { name, source });
    assertSecrets([...merged].map(([name, value]) => ({ name, value })));
    await this.#store.write(this.#holder.id, merged);
    this.#loaded = Promise.resolve({ values: merged, redactor: new Redactor(merged.values()) });
    return { secrets: [...records.values()] };
  }

  #load(): Promise<{ readonly values: ReadonlyMap<string, string>; readonly redactor: Redactor }> {
    this.#loaded ??= this.#read();
    return this.#loaded;
  }

  async #read(): Promise<{ readonly values: ReadonlyMap<string, string>; readonly redactor: Redactor }> {
    const none = this.#holder.secrets().length === 0;
    const values = none ? new Map<string, string>() : await this.#store.read(this.#holder.id);
    return { values, redactor: new Redactor(values.values()) };
  }
}
