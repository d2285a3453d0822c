/** One service of a sandbox: its command, whether it is ready, and the ports that lead to it. */
import { HearthError } from '../../errors/index.js';
import type { Sandbox } from '../sandbox.js';
import { notRunning } from '../sandbox-errors.js';
import { SandboxPorts } from '../sandbox-ports.js';
import { HeldProcess, type ProcessEnd, type ProcessOwner } from './held-process.js';
import type { Readiness, ServiceRecord } from './process-records.js';
import { waitUntilReady } from './readiness.js';

/**
 * starting: not ready yet · running · stopped: somebody stopped it, or its VM ended · exited: it ended by itself ·
 * failed: it did not become ready.
 */
export type ServiceState = 'starting' | 'running' | 'stopped' | 'exited' | 'failed';

export interface ServiceInfo {
  readonly name: string;
  readonly argv: readonly string[];
  readonly state: ServiceState;
  readonly execId: number;
  readonly pid: number;
  readonly startedAt: string;
  readonly ready: Readiness | null;
  readonly readyAt: string | null;
  readonly endedAt: string | null;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly ports: readonly {
    readonly address: string;
    readonly hostPort: number;
    readonly guestPort: number;
  }[];
}

export interface ServiceSpec {
  readonly name: string;
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly workdir?: string | undefined;
  readonly user?: string | undefined;
  readonly ready?: Readiness | undefined;
  readonly ports: ServiceRecord['ports'];
}

const KILL_TIMEOUT_MS = 10_000;
const SHOWN_LOG_BYTES = 2048;

export class Service {
  readonly #owner: ProcessOwner;
  readonly #ports: SandboxPorts;
  #held: HeldProcess | undefined;
  #record: ServiceRecord | undefined;
  #isStarting = false;

  private constructor(owner: ProcessOwner) {
    this.#owner = owner;
    this.#ports = new SandboxPorts(async (port, signal) =>
      (await this.#sandbox.agent({ signal })).connect({ port }, { signal }),
    );
  }

  /** One that has no command yet; `start` gives it one. */
  static reserved(owner: ProcessOwner): Service {
    return new Service(owner);
  }

  /** One that another process has started. */
  static async known(owner: ProcessOwner, record: ServiceRecord): Promise<Service> {
    const service = new Service(owner);
    service.#record = record;
    service.#held = HeldProcess.known(owner.sandbox, record.key, false, (end) => service.#ended(end));
    if (record.end !== null) return service;
    // A port that another program has taken meanwhile must not keep the service from its owner.
    const ports = await service.#ports.open(record.ports, true).catch(() => undefined);
    service.#record = {
      ...record,
      ports: ports ?? record.ports.map((port) => ({ ...port, published: null })),
    };
    void service.#held.attach().catch(() => undefined);
    return service;
  }

  get #sandbox(): Sandbox {
    return this.#owner.sandbox;
  }

  get record(): ServiceRecord | undefined {
    return this.#record;
  }

  get held(): HeldProcess | undefined {
    return this.#held;
  }

  get isActive(): boolean {
    return this.#isStarting || (this.#record !== undefined && this.#record.end === null);
  }

  /**
   * Starts it and waits until it is ready. What does not become ready is stopped; its output stays.
   *
   * @throws {HearthError} `SERVICE_FAILED` when it ends before it is ready, `SERVICE_NOT_READY`, those of ports and
   *   of starting a command. Rejects with `signal.reason`.
   */
  async start(spec: ServiceSpec, readyTimeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    const sandbox = this.#sandbox;
    if (sandbox.record.state !== 'running') throw notRunning(sandbox.record);
    this.#isStarting = true;
    try {
      const { name, argv, env, workdir, user, ready = null } = spec;
      const held = await HeldProcess.start(
        sandbox,
        { argv, env, workdir, user },
        { ...(signal === undefined ? {} : { signal }), onEnd: (end) => this.#ended(end) },
      );
      this.#held = held;
      this.#record = {
        name,
        argv: [...argv],
        key: held.key,
        startedAt: new Date().toISOString(),
        ready,
        readyAt: null,
        verdict: null,
        ports: spec.ports,
        end: held.end ?? null,
      };
      try {
        await this.#change({ ports: await this.#ports.open(spec.ports) });
        if (ready !== null) await this.#untilReady(held, ready, readyTimeoutMs, signal);
        await this.#change({ readyAt: new Date().toISOString() });
        if (held.end !== undefined) await this.#ports.close();
      } catch (error) {
        await this.#end('failed', 0);
        throw error;
      }
    } finally {
      this.#isStarting = false;
    }
  }

  async #untilReady(
    held: HeldProcess,
    ready: Readiness,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const over = new AbortController();
    const given = signal === undefined ? [] : [signal];
    const deadline = AbortSignal.timeout(timeoutMs);
    const looking = waitUntilReady(this.#sandbox, ready, AbortSignal.any([over.signal, deadline, ...given]));
    looking.catch(() => {});
    try {
      const ended = held.waitForEnd(timeoutMs, over.signal).then((hasEnded) => {
        if (hasEnded) throw this.#failed();
        return looking;
      });
      ended.catch(() => {});
      await Promise.race([looking, ended]);
    } catch (error) {
      signal?.throwIfAborted();
      if (HearthError.is(error)) throw error;
      throw held.end === undefined ? this.#notReady(ready, timeoutMs) : this.#failed();
    } finally {
      over.abort();
    }
  }

  async stop(graceMs: number): Promise<void> {
    if (this.#record === undefined || this.#record.end !== null) return;
    await this.#end('stopped', graceMs);
  }

  async #end(verdict: 'stopped' | 'failed', graceMs: number): Promise<void> {
    const wasActive = this.#record?.end === null;
    if (wasActive) await this.#change({ verdict });
    try {
      if (wasActive) await this.#held?.stop(graceMs === 0 ? 'SIGKILL' : 'SIGTERM', graceMs, KILL_TIMEOUT_MS);
    } finally {
      await this.#ports.close();
    }
  }

  /** The guest need not keep what it has of it. */
  async forget(): Promise<void> {
    await this.#held?.forget();
  }

  async release(): Promise<void> {
    this.#held?.release();
    await this.#ports.close();
  }

  /** @returns Undefined while it has no command yet. */
  info(): ServiceInfo | undefined {
    if (this.#record === undefined) return undefined;
    const { key, end, ports, verdict: _verdict, ...record } = this.#record;
    return {
      ...record,
      state: this.#state(this.#record),
      execId: key.execId,
      pid: key.pid,
      endedAt: end?.at ?? null,
      exitCode: end?.exitCode ?? null,
      signal: end?.signal ?? null,
      ports: ports.flatMap(({ address, guestPort, published }) =>
        published === null || end !== null ? [] : [{ address, hostPort: published, guestPort }],
      ),
    };
  }

  #state({ end, verdict, readyAt, ready }: ServiceRecord): ServiceState {
    if (end === null) return readyAt === null && ready !== null ? 'starting' : 'running';
    return verdict ?? (end.exitCode === null ? 'stopped' : 'exited');
  }

  async #change(fields: Partial<ServiceRecord>): Promise<void> {
    if (this.#record === undefined) return;
    this.#record = { ...this.#record, ...fields };
    await this.#owner.save();
  }

  #ended(end: ProcessEnd): void {
    void this.#ports.close();
    // A sandbox that is gone has no place for it.
    void this.#change({ end }).catch(() => undefined);
  }

  #failed(): HearthError {
    const { exitCode = null, signal = null } = this.#held?.end ?? {};
    const how =
      exitCode === null ? 'with its VM' : signal === null ? `with exit code ${exitCode}` : `by ${signal}`;
    return new HearthError('SERVICE_FAILED', `the service ${this.#name} ended ${how} before it was ready`, {
      hint: `Type \`hearth service logs ${this.#sandbox.name} ${this.#name}\` for what it wrote.`,
      details: { ...this.#about(), exitCode, signal, ...this.#tail() },
    });
  }

  #notReady(ready: Readiness, timeoutMs: number): HearthError {
    return new HearthError(
      'SERVICE_NOT_READY',
      `the service ${this.#name} was not ready after ${timeoutMs} ms (${ready.kind}) and was stopped`,
      {
        hint: `Read \`hearth service logs ${this.#sandbox.name} ${this.#name}\`, or give it a longer --ready-timeout.`,
        details: { ...this.#about(), ready, timeoutMs, ...this.#tail() },
      },
    );
  }

  get #name(): string {
    return this.#record?.name ?? '';
  }

  #about(): Readonly<Record<string, unknown>> {
    return { sandbox: this.#sandbox.name, service: this.#name };
  }

  /** The end of what it wrote. */
  #tail(): Readonly<Record<string, string>> {
    const last = (ring: HeldProcess['stdout'] | undefined): string =>
      ring === undefined ? '' : ring.read(ring.end - SHOWN_LOG_BYTES, SHOWN_LOG_BYTES).bytes.toString('utf8');
    return { stdout: last(this.#held?.stdout), stderr: last(this.#held?.stderr) };
  }
}
