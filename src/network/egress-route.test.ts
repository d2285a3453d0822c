import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { DEFAULT_EGRESS_LIMITS } from './egress-limits.js';
import { compileEgressPolicy, type EgressPolicy } from './egress-policy.js';
import { openRoute, type RouteContext } from './egress-route.js';
import { parseHost } from './host.js';

interface Fixture extends RouteContext {
  readonly lookups: string[];
  readonly connections: string[];
}

function fixture(policy: EgressPolicy, overrides: Partial<RouteContext> = {}): Fixture {
  const lookups: string[] = [];
  const connections: string[] = [];
  return {
    policy: compileEgressPolicy(policy),
    limits: { ...DEFAULT_EGRESS_LIMITS, resolveTimeoutMs: 100, connectTimeoutMs: 1000, ...overrides.limits },
    localNetworks: () => [],
    ...overrides,
    resolve: (name, options) => {
      lookups.push(name);
      return overrides.resolve?.(name, options) ?? Promise.resolve(['93.184.216.34']);
    },
    connect: (address, port, options) => {
      connections.push(`${address} ${port}`);
      return overrides.connect?.(address, port, options) ?? Promise.resolve(new PassThrough());
    },
    lookups,
    connections,
  };
}

const never = new AbortController().signal;
const open = (context: RouteContext, host: string, port = 443, signal = never) =>
  openRoute(context, parseHost(host)!, port, { signal });

const everything: EgressPolicy = { mode: 'public' };

describe('openRoute', () => {
  it('resolves once and connects to the address it has checked', async () => {
    const context = fixture(everything);
    expect(await open(context, 'a.test')).toMatchObject({
      kind: 'open',
      address: '93.184.216.34',
      rule: 'public',
    });
    expect(context.lookups).toEqual(['a.test']);
    expect(context.connections).toEqual(['93.184.216.34 443']);
  });

  it('does not fall for a name whose second answer is private', async () => {
    const answers = [['93.184.216.34'], ['127.0.0.1']];
    const context = fixture(everything, { resolve: () => Promise.resolve(answers.shift() ?? []) });
    expect(await open(context, 'rebind.test')).toMatchObject({ kind: 'open', address: '93.184.216.34' });
    expect(context.connections).toEqual(['93.184.216.34 443']);
    expect(await open(context, 'rebind.test')).toMatchObject({ kind: 'denied', reason: 'address-loopback' });
    expect(context.connections).toHaveLength(1);
  });

  it('neither resolves nor connects to what policy refuses by name', async () => {
    const context = fixture({ mode: 'allow-list', hosts: ['a.test'] });
    expect(await open(context, 'secret-data.evil.test')).toEqual({
      kind: 'denied',
      reason: 'host-not-allowed',
    });
    expect(await open(context, 'a.test', 22)).toEqual({ kind: 'denied', reason: 'port-not-allowed' });
    expect([context.lookups, context.connections]).toEqual([[], []]);
  });

  it.each([
    ['10.0.0.5', 'private'],
    ['127.0.0.1', 'loopback'],
    ['169.254.169.254', 'metadata'],
    ['169.254.1.1', 'link-local'],
    ['100.64.0.1', 'shared'],
    ['0.0.0.0', 'unspecified'],
    ['255.255.255.255', 'broadcast'],
    ['224.0.0.251', 'multicast'],
    ['198.18.0.1', 'benchmarking'],
    ['203.0.113.7', 'documentation'],
    ['240.0.0.1', 'reserved'],
    ['::1', 'loopback'],
    ['::', 'unspecified'],
    ['fd00::1', 'private'],
    ['fe80::1', 'link-local'],
    ['ff02::1', 'multicast'],
    ['::ffff:8.8.8.8', 'embedded-ipv4'],
    ['::8.8.8.8', 'embedded-ipv4'],
    ['64:ff9b::808:808', 'embedded-ipv4'],
    ['2002:808:808::1', 'embedded-ipv4'],
    ['2001:0:4136:e378:8000:63bf:3fff:fdd2', 'embedded-ipv4'],
    ['2001:db8::1', 'documentation'],
    ['fec0::1', 'reserved'],
  ])('refuses %s (%s), as an answer and as a literal', async (address, addressClass) => {
    const context = fixture(everything, { resolve: () => Promise.resolve([address]) });
    const denied = { kind: 'denied', reason: `address-${addressClass}`, rule: 'public' };
    expect(await open(context, 'a.test')).toMatchObject(denied);
    expect(await open(context, address)).toMatchObject(denied);
    expect(context.connections).toEqual([]);
  });

  it('leaves refused addresses out of a mixed answer', async () => {
    const context = fixture(everything, {
      resolve: () => Promise.resolve(['10.0.0.1', '93.184.216.34', '::1', 'not an address']),
    });
    expect(await open(context, 'a.test')).toMatchObject({ kind: 'open', address: '93.184.216.34' });
    expect(context.connections).toEqual(['93.184.216.34 443']);
  });

  it('connects to the given address of a pinned name and asks nobody', async () => {
    const context = fixture({
      mode: 'allow-list',
      hosts: ['db.corp:5432=10.0.0.5', 'host.hearth.internal:81'],
    });
    expect(await open(context, 'db.corp', 5432)).toMatchObject({ kind: 'open', address: '10.0.0.5' });
    expect(await open(context, 'host.hearth.internal', 81)).toMatchObject({
      kind: 'open',
      address: '127.0.0.1',
    });
    expect(context.lookups).toEqual([]);
    expect(context.connections).toEqual(['10.0.0.5 5432', '127.0.0.1 81']);
  });

  it('knows localhost without asking', async () => {
    const context = fixture(everything);
    for (const name of ['localhost', 'x.localhost']) {
      expect(await open(context, name)).toMatchObject({ kind: 'denied', reason: 'address-loopback' });
    }
    expect(context.lookups).toEqual([]);
    const permissive = fixture({ ...everything, allowPrivate: true });
    expect(await open(permissive, 'localhost')).toMatchObject({ kind: 'open', address: '127.0.0.1' });
  });

  it.each([
    ['no address', () => Promise.resolve([]), 'name-not-found'],
    ['an error', () => Promise.reject(new Error('SERVFAIL')), 'resolve-failed'],
    ['nothing', () => new Promise<string[]>(() => {}), 'resolve-timeout'],
  ] as const)('reports a resolver with %s', async (_name, resolve, reason) => {
    expect(await open(fixture(everything, { resolve }), 'a.test')).toEqual({
      kind: 'failed',
      reason,
      rule: 'public',
    });
  });

  it('tries the next address when one refuses, and reports when all do', async () => {
    const refuse = (address: string) =>
      address === '93.184.216.36'
        ? Promise.resolve(new PassThrough())
        : Promise.reject(new Error('ECONNREFUSED'));
    const all = ['93.184.216.34', '93.184.216.35', '93.184.216.36'];
    const context = fixture(everything, { resolve: () => Promise.resolve(all), connect: refuse });
    expect(await open(context, 'a.test')).toMatchObject({ kind: 'open', address: '93.184.216.36' });
    const worse = fixture(everything, { resolve: () => Promise.resolve(all.slice(0, 2)), connect: refuse });
    expect(await open(worse, 'a.test')).toMatchObject({
      kind: 'failed',
      reason: 'connect-failed',
      address: '93.184.216.34',
    });
    expect(worse.connections).toHaveLength(2);
  });

  it('does not wait for a silent address when another one answers, and drops the loser', async () => {
    const late = new PassThrough();
    let answerLate = () => {};
    const context = fixture(everything, {
      resolve: () => Promise.resolve(['2606:4700::1', '93.184.216.34']),
      connect: (address) =>
        address.includes(':')
          ? new Promise((resolve) => {
              answerLate = () => resolve(late);
            })
          : Promise.resolve(new PassThrough()),
    });
    expect(await open(context, 'a.test')).toMatchObject({ kind: 'open', address: '93.184.216.34' });
    answerLate();
    await new Promise(setImmediate);
    expect(late.destroyed).toBe(true);
  });

  it('gives up on time and when told to', async () => {
    const silent = { connect: () => new Promise<PassThrough>(() => {}) };
    expect(await open(fixture(everything, silent), 'a.test')).toMatchObject({ reason: 'connect-timeout' });
    const controller = new AbortController();
    const pending = open(fixture(everything, silent), 'a.test', 443, controller.signal);
    setTimeout(() => controller.abort(), 20);
    expect(await pending).toMatchObject({ kind: 'failed', reason: 'abandoned' });
    expect(await open(fixture(everything), 'a.test', 443, AbortSignal.abort())).toMatchObject({
      reason: 'abandoned',
    });
  });

  it('tries at most eight addresses', async () => {
    const context = fixture(everything, {
      resolve: () => Promise.resolve(Array.from({ length: 200 }, (_, index) => `93.184.216.${index + 1}`)),
      connect: () => Promise.reject(new Error('ECONNREFUSED')),
    });
    await open(context, 'a.test');
    expect(context.connections).toHaveLength(8);
  });
});
