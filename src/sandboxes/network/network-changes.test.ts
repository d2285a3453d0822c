import { describe, expect, it } from 'vitest';
import type { SandboxRecord } from '../sandbox-record.js';
import { type NetworkChanges, networkRecord, updatedNetwork } from './network-changes.js';
import { egressPolicyOf, type NetworkRecord } from './network-record.js';

const record = (mode: NetworkRecord['mode'], hosts: string[], state: SandboxRecord['state'] = 'running') => ({
  id: 'aabbccddeeff',
  name: 'dev',
  state,
  network: { mode, hosts, proxyPort: 3128 },
});

describe('networkRecord', () => {
  it.each([
    [{}, { mode: 'none', hosts: [], proxyPort: null }, undefined],
    [
      { allowHosts: ['a.test', '*.b.test:8443', 'a.test'] },
      { mode: 'none', hosts: ['a.test', '*.b.test:8443'], proxyPort: null },
      { mode: 'allow-list', hosts: ['a.test', '*.b.test:8443'] },
    ],
    [{ network: 'public' }, { mode: 'public', hosts: [], proxyPort: null }, { mode: 'public', hosts: [] }],
    [{ network: 'full' }, { mode: 'full', hosts: [], proxyPort: null }, undefined],
  ] as const)('of %j', (wishes, expected, policy) => {
    expect(networkRecord(wishes)).toEqual(expected);
    expect(egressPolicyOf(networkRecord(wishes))).toEqual(policy);
  });

  it.each([
    [{ allowHosts: ['http://a.test'] }, 'HOST_PATTERN_INVALID'],
    [{ allowHosts: ['*'] }, 'HOST_PATTERN_INVALID'],
    [{ network: 'full', allowHosts: ['a.test'] }, 'USAGE_INVALID'],
  ] as const)('refuses %j', (wishes, code) => {
    expect(() => networkRecord(wishes)).toThrow(expect.objectContaining({ code }));
  });
});

describe('updatedNetwork', () => {
  it.each([
    [{}, undefined],
    [{ allowHosts: ['b.test'] }, { mode: 'none', hosts: ['a.test', 'b.test'], proxyPort: 3128 }],
    [{ removeHosts: ['a.test'] }, { mode: 'none', hosts: [], proxyPort: 3128 }],
    [{ network: 'public' }, { mode: 'public', hosts: ['a.test'], proxyPort: 3128 }],
    [
      { removeHosts: ['a.test'], allowHosts: ['a.test:8080'] },
      { mode: 'none', hosts: ['a.test:8080'], proxyPort: 3128 },
    ],
  ] as ReadonlyArray<[NetworkChanges, NetworkRecord | undefined]>)('by %j', (changes, expected) => {
    expect(updatedNetwork(record('none', ['a.test']), changes).network).toEqual(expected);
  });

  it('refuses to take back what is not there, and says what is', () => {
    expect(() => updatedNetwork(record('none', ['a.test']), { removeHosts: ['b.test'] })).toThrow(
      expect.objectContaining({ code: 'USAGE_INVALID', hint: expect.stringContaining('a.test') }),
    );
  });

  it('gives or takes the network device only without a VM', () => {
    expect(() => updatedNetwork(record('none', []), { network: 'full' })).toThrow(
      expect.objectContaining({ code: 'SANDBOX_STATE_CONFLICT' }),
    );
    expect(() => updatedNetwork(record('full', [], 'paused'), { network: 'none' })).toThrow(
      expect.objectContaining({ code: 'SANDBOX_STATE_CONFLICT' }),
    );
    expect(updatedNetwork(record('none', [], 'stopped'), { network: 'full' }).network?.mode).toBe('full');
  });
});
