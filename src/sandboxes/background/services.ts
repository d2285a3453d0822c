/** The services of sandboxes, by the name of the sandbox. */
import { HearthError } from '../../errors/index.js';
import { portRecords } from '../sandbox-ports.js';
import type { OutputRing } from './output-ring.js';
import type { Readiness } from './process-records.js';
import { assertReadiness } from './readiness.js';
import type { SandboxBackground } from './sandbox-background.js';
import { Service, type ServiceInfo } from './service.js';

export interface StartServiceSpec {
  /** 1..63 letters, digits, `-`, `_` and `.`; begins with a letter or digit. */
  readonly name: string;
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly workdir?: string | undefined;
  readonly user?: string | undefined;
  /** What shows that it is ready. Default: that it runs. */
  readonly ready?: Readiness | undefined;
  /** Default 60 s. */
  readonly readyTimeoutMs?: number | undefined;
  /** Ports that lead to it while it runs, `[HOST:]GUEST`; only on 127.0.0.1. */
  readonly publish?: readonly string[] | undefined;
}

export interface ServiceLogs {
  readonly stdout: string;
  readonly stderr: string;
  /** For the next call, which gives what came after. */
  readonly stdoutCursor: number;
  readonly stderrCursor: number;
  /** Bytes of both that were asked for and are no longer kept, or did not fit. */
  readonly lostBytes: number;
}

export interface LogsOptions {
  readonly tailLines?: number | undefined;
  /** Of each of stdout and stderr. */
  readonly maxBytes: number;
  readonly stdoutCursor?: number | undefined;
  readonly stderrCursor?: number | undefined;
}

const MAX_SERVICES = 16;
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;
const DEFAULT_READY_TIMEOUT_MS = 60_000;
const DEFAULT_GRACE_MS = 10_000;
const LOOPBACK = '127.0.0.1';

/** All throw `SANDBOX_NOT_FOUND` and `SANDBOX_AMBIGUOUS`. */
export class Services {
  readonly #of: (reference: string) => Promise<SandboxBackground>;

  constructor(of: (reference: string) => Promise<SandboxBackground>) {
    this.#of = of;
  }

  /**
   * Starts a service and waits until it is ready. One of that name that has ended gives way.
   *
   * @throws {HearthError} `NAME_INVALID`, `SERVICE_EXISTS`, `SERVICES_TOO_MANY`, and those of `Service.start`.
   */
  async start(
    reference: string,
    spec: StartServiceSpec,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<ServiceInfo> {
    const { publish = [], readyTimeoutMs = DEFAULT_READY_TIMEOUT_MS, ...command } = spec;
    const { name, ready } = command;
    assertServiceName(name);
    if (ready !== undefined) assertReadiness(ready);
    const ports = portRecords(publish);
    for (const { address } of ports) assertLoopback(address);
    const background = await this.#of(reference);
    const { services, sandbox } = background;
    const former = services.get(name);
    if (former?.isActive === true) {
      throw new HearthError('SERVICE_EXISTS', `the service ${name} of ${sandbox.name} runs already`, {
        hint: `Stop it first: hearth service stop ${sandbox.name} ${name}`,
        details: { sandbox: sandbox.name, service: name },
      });
    }
    if (former === undefined) assertRoom(background);
    const service = Service.reserved(background);
    services.set(name, service);
    try {
      await former?.forget();
      await service.start({ ...command, ports }, readyTimeoutMs, signal);
    } catch (error) {
      // One that never ran leaves the place to what was there.
      if (service.record === undefined) {
        if (former === undefined) services.delete(name);
        else services.set(name, former);
      }
      throw error;
    }
    return infoOf(service, background, name);
  }

  /** By name. */
  async list(reference: string): Promise<ServiceInfo[]> {
    const { services } = await this.#of(reference);
    await Promise.all([...services.values()].map(heard));
    return [...services.values()]
      .flatMap((service) => service.info() ?? [])
      .sort((one, other) => (one.name < other.name ? -1 : 1));
  }

  /** @throws {HearthError} `SERVICE_NOT_FOUND`. */
  async status(reference: string, name: string): Promise<ServiceInfo> {
    const background = await this.#of(reference);
    const service = serviceOf(background, name);
    await heard(service);
    return infoOf(service, background, name);
  }

  /** The end of what it wrote, or what came after the cursors. @throws {HearthError} `SERVICE_NOT_FOUND`. */
  async logs(reference: string, name: string, options: LogsOptions): Promise<ServiceLogs> {
    const service = serviceOf(await this.#of(reference), name);
    await heard(service);
    const stdout = logOf(service.held?.stdout, options.stdoutCursor, options);
    const stderr = logOf(service.held?.stderr, options.stderrCursor, options);
    return {
      stdout: stdout.text,
      stderr: stderr.text,
      stdoutCursor: stdout.next,
      stderrCursor: stderr.next,
      lostBytes: stdout.lostBytes + stderr.lostBytes,
    };
  }

  /** Asks it to end, and kills it after the grace. One that has ended stays as it is. @throws `SERVICE_NOT_FOUND`. */
  async stop(reference: string, name: string, graceMs = DEFAULT_GRACE_MS): Promise<ServiceInfo> {
    const background = await this.#of(reference);
    const service = serviceOf(background, name);
    await heard(service);
    await service.stop(graceMs);
    return infoOf(service, background, name);
  }
}

/** What is lost of the conversation with its guest is taken up again first; a guest that is silent says nothing new. */
async function heard({ held }: Service): Promise<void> {
  await held?.attach().catch(() => undefined);
}

function infoOf(service: Service, background: SandboxBackground, name: string): ServiceInfo {
  const info = service.info();
  if (info === undefined) throw notFound(background, name);
  return info;
}

function serviceOf(background: SandboxBackground, name: string): Service {
  const service = background.services.get(name);
  if (service?.record === undefined) throw notFound(background, name);
  return service;
}

function notFound({ sandbox }: SandboxBackground, name: string): HearthError {
  return new HearthError('SERVICE_NOT_FOUND', `the sandbox ${sandbox.name} has no service ${name}`, {
    hint: `\`hearth service list ${sandbox.name}\` shows what it has.`,
    details: { sandbox: sandbox.name, service: name },
  });
}

function assertServiceName(name: string): void {
  if (NAME.test(name)) return;
  throw new HearthError('NAME_INVALID', `not a name for a service: ${JSON.stringify(name.slice(0, 80))}`, {
    hint: 'Use up to 63 letters, digits, `-`, `_` and `.`, and begin with a letter or digit.',
    details: { name: name.slice(0, 80) },
  });
}

function assertRoom({ services, sandbox }: SandboxBackground): void {
  if (services.size < MAX_SERVICES) return;
  for (const [name, service] of services) {
    if (service.isActive || service.record === undefined) continue;
    services.delete(name);
    return;
  }
  throw new HearthError('SERVICES_TOO_MANY', `the sandbox ${sandbox.name} has ${MAX_SERVICES} services`, {
    hint: `Stop one first: hearth service list ${sandbox.name}`,
    details: { sandbox: sandbox.name, mostServices: MAX_SERVICES },
  });
}

function assertLoopback(address: string): void {
  if (address === LOOPBACK) return;
  throw new HearthError('PORT_DENIED', `a service is not published on ${address}`, {
    hint: `Publish it on ${LOOPBACK}, or the port of the sandbox: hearth create -p ${address}:HOST:GUEST`,
    details: { address, allowed: LOOPBACK },
  });
}

function logOf(
  ring: OutputRing | undefined,
  cursor: number | undefined,
  { maxBytes, tailLines }: LogsOptions,
): { readonly text: string; readonly next: number; readonly lostBytes: number } {
  if (ring === undefined) return { text: '', next: 0, lostBytes: 0 };
  // With a cursor in order from there; without one the newest.
  const piece = ring.read(cursor ?? Math.max(ring.begin, ring.end - maxBytes), maxBytes);
  const text = piece.bytes.toString('utf8');
  const lostBytes = cursor === undefined ? piece.cursor : piece.lostBytes;
  return { text: tailLines === undefined ? text : lastLines(text, tailLines), next: piece.next, lostBytes };
}

/** The last lines, the last of which need not have ended. */
export function lastLines(text: string, count: number): string {
  if (count === 0) return '';
  let at = text.endsWith('\n') ? text.length - 1 : text.length;
  for (let left = count; left > 0 && at >= 0; left -= 1) at = at === 0 ? -1 : text.lastIndexOf('\n', at - 1);
  return text.slice(at + 1);
}
