import { describe, expect, it } from 'vitest';
import { compileEgressPolicy, type EgressPolicy, judgeAddress, judgeHost } from './egress-policy.js';
import { parseHost } from './host.js';
import { parseIpAddress, parseIpBlock } from './ip-address.js';

const judge = (policy: EgressPolicy, host: string, port: number) =>
  judgeHost(compileEgressPolicy(policy), parseHost(host)!, port);

describe('judgeHost', () => {
  const list: EgressPolicy = {
    mode: 'allow-list',
    hosts: ['a.test', '*.b.test:8443', 'c.test:9000=10.0.0.5', 'c.test:9000=10.0.0.6', '10.1.1.1:5000'],
  };
  it.each([
    ['a.test', 443, 'a.test'],
    ['a.test', 80, 'a.test'],
    ['x.b.test', 8443, '*.b.test:8443'],
    ['c.test', 9000, 'c.test:9000=10.0.0.5'],
    ['10.1.1.1', 5000, '10.1.1.1:5000'],
  ])('lets %s:%i through', (host, port, rule) => {
    expect(judge(list, host, port)).toMatchObject({ allowed: true, rule });
  });

  it.each([
    ['a.test', 8080, 'port-not-allowed'],
    ['a.test', 22, 'port-not-allowed'],
    ['x.b.test', 443, 'port-not-allowed'],
    ['b.test', 8443, 'host-not-allowed'],
    ['8.8.8.8', 443, 'host-not-allowed'],
    ['10.0.0.5', 9000, 'host-not-allowed'],
    ['host.hearth.internal', 80, 'host-not-allowed'],
  ])('refuses %s:%i: %s', (host, port, reason) => {
    expect(judge(list, host, port)).toEqual({ allowed: false, reason });
  });

  it('connects to the given addresses of a name, all of them, and to nothing else', () => {
    const verdict = judge(list, 'c.test', 9000);
    expect(verdict.allowed && verdict.addresses.map((address) => address.text)).toEqual([
      '10.0.0.5',
      '10.0.0.6',
    ]);
  });

  it('public: every host on 80 and 443, others by pattern, never the alias of this machine', () => {
    const open: EgressPolicy = { mode: 'public', hosts: ['a.test:8443'] };
    expect(judge(open, 'any.test', 443)).toEqual({ allowed: true, rule: 'public', addresses: [] });
    expect(judge(open, '8.8.8.8', 80)).toMatchObject({ allowed: true, rule: 'public' });
    expect(judge(open, 'a.test', 8443)).toMatchObject({ allowed: true, rule: 'a.test:8443' });
    expect(judge(open, 'any.test', 8443)).toEqual({ allowed: false, reason: 'port-not-allowed' });
    expect(judge(open, 'host.hearth.internal', 443)).toEqual({ allowed: false, reason: 'host-not-allowed' });
  });

  it('refuses everything without patterns', () => {
    expect(judge({ mode: 'allow-list' }, 'a.test', 443)).toEqual({
      allowed: false,
      reason: 'host-not-allowed',
    });
  });
});

describe('judgeAddress', () => {
  const local = [parseIpBlock('93.184.216.34/24')!];
  it.each([
    ['8.8.8.8', true, true],
    ['10.0.0.1', false, true],
    ['127.0.0.1', false, true],
    ['93.184.216.1', false, true],
    ['fd00::1', false, true],
    ['169.254.169.254', false, false],
    ['fe80::1', false, false],
    ['0.0.0.0', false, false],
    ['::ffff:8.8.8.8', false, false],
    ['224.0.0.1', false, false],
  ])('%s: %s, with allowPrivate %s', (text, plain, withPrivate) => {
    const address = parseIpAddress(text)!;
    const verdict = (allowPrivate: boolean) =>
      judgeAddress(compileEgressPolicy({ mode: 'public', allowPrivate }), address, local).allowed;
    expect([verdict(false), verdict(true)]).toEqual([plain, withPrivate]);
  });
});

it('bounds the number of patterns', () => {
  const hosts = Array.from({ length: 1000 }, (_, index) => `h${index}.test`);
  expect(compileEgressPolicy({ mode: 'allow-list', hosts }).patterns).toHaveLength(1000);
  expect(() => compileEgressPolicy({ mode: 'allow-list', hosts: [...hosts, 'x.test'] })).toThrow(
    expect.objectContaining({
      code: 'HOST_PATTERN_INVALID',
      details: { patternCount: 1001, maxPatternCount: 1000 },
    }),
  );
});
