import { isIPv4 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AddressClass, classifyAddress, isNameable } from './address-class.js';
import { parseIpAddress, parseIpBlock } from './ip-address.js';

const classOf = (text: string): AddressClass => classifyAddress(parseIpAddress(text)!);

/** The first address before, the first in, the last in and the first after each block. */
const edges: ReadonlyArray<
  readonly [first: string, last: string, expected: AddressClass, before: AddressClass, after: AddressClass]
> = [
  ['10.0.0.0', '10.255.255.255', 'private', 'public', 'public'],
  ['100.64.0.0', '100.127.255.255', 'shared', 'public', 'public'],
  ['127.0.0.0', '127.255.255.255', 'loopback', 'public', 'public'],
  ['169.254.0.0', '169.254.255.255', 'link-local', 'public', 'public'],
  ['172.16.0.0', '172.31.255.255', 'private', 'public', 'public'],
  ['192.0.2.0', '192.0.2.255', 'documentation', 'public', 'public'],
  ['192.168.0.0', '192.168.255.255', 'private', 'public', 'public'],
  ['198.18.0.0', '198.19.255.255', 'benchmarking', 'public', 'public'],
  ['198.51.100.0', '198.51.100.255', 'documentation', 'public', 'public'],
  ['203.0.113.0', '203.0.113.255', 'documentation', 'public', 'public'],
  ['224.0.0.0', '239.255.255.255', 'multicast', 'public', 'reserved'],
  ['240.0.0.0', '255.255.255.254', 'reserved', 'multicast', 'broadcast'],
  ['2001:db8::', '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff', 'documentation', 'public', 'public'],
  ['2001::', '2001:0:ffff:ffff:ffff:ffff:ffff:ffff', 'embedded-ipv4', 'public', 'reserved'],
  ['2001:2::', '2001:2:0:ffff:ffff:ffff:ffff:ffff', 'benchmarking', 'reserved', 'reserved'],
  ['2002::', '2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'embedded-ipv4', 'public', 'public'],
  ['3fff::', '3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff', 'documentation', 'public', 'public'],
  ['fc00::', 'fcff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'private', 'reserved', 'private'],
  ['fe80::', 'febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'link-local', 'reserved', 'reserved'],
  ['ff00::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe', 'multicast', 'reserved', 'multicast'],
  ['64:ff9b::', '64:ff9b::ffff:ffff', 'embedded-ipv4', 'reserved', 'reserved'],
  ['64:ff9b:1::', '64:ff9b:1:ffff:ffff:ffff:ffff:ffff', 'embedded-ipv4', 'reserved', 'reserved'],
  ['::ffff:0.0.0.0', '::ffff:255.255.255.255', 'embedded-ipv4', 'reserved', 'reserved'],
];

describe('classifyAddress', () => {
  it.each(edges)('%s to %s is %s', (first, last, expected, before, after) => {
    const [from, to] = [parseIpAddress(first)!, parseIpAddress(last)!];
    expect(classifyAddress(from)).toBe(expected);
    expect(classifyAddress(to)).toBe(expected);
    expect(classifyAddress({ ...from, value: from.value - 1n })).toBe(before);
    expect(classifyAddress({ ...to, value: to.value + 1n })).toBe(after);
  });

  it.each([
    ['0.0.0.0', 'unspecified'],
    ['0.1.2.3', 'unspecified'],
    ['255.255.255.255', 'broadcast'],
    ['169.254.169.254', 'metadata'],
    ['100.100.100.200', 'metadata'],
    ['168.63.129.16', 'metadata'],
    ['192.0.0.192', 'metadata'],
    ['192.0.0.8', 'reserved'],
    ['fd00:ec2::254', 'metadata'],
    ['fd20:ce::254', 'metadata'],
    ['fd12:3456::1', 'private'],
    ['::', 'unspecified'],
    ['::1', 'loopback'],
    ['::2', 'embedded-ipv4'],
    ['::127.0.0.1', 'embedded-ipv4'],
    ['::ffff:127.0.0.1', 'embedded-ipv4'],
    ['::ffff:8.8.8.8', 'embedded-ipv4'],
    ['::ffff:0:127.0.0.1', 'embedded-ipv4'],
    ['64:ff9b::169.254.169.254', 'embedded-ipv4'],
    ['2002:7f00:1::', 'embedded-ipv4'],
    ['2001:0:4136:e378:8000:63bf:3fff:fdd2', 'embedded-ipv4'],
    ['fec0::1', 'reserved'],
    ['100::1', 'reserved'],
    ['5f00::1', 'reserved'],
    ['ff02::1', 'multicast'],
    ['8.8.8.8', 'public'],
    ['192.0.1.1', 'public'],
    ['2606:4700::1111', 'public'],
    ['2a00:1450:4001::1', 'public'],
  ] as const)('%s is %s', (text, expected) => {
    expect(classOf(text)).toBe(expected);
  });

  it('calls a neighbour of this machine local, whatever its numbers', () => {
    const local = [parseIpBlock('93.184.216.34/24')!, parseIpBlock('2606:4700::5/64')!];
    const inLocal = (text: string) => classifyAddress(parseIpAddress(text)!, local);
    expect(inLocal('93.184.216.1')).toBe('local-network');
    expect(inLocal('93.184.217.1')).toBe('public');
    expect(inLocal('2606:4700::1111')).toBe('local-network');
    expect(inLocal('2606:4700:0:1::1')).toBe('public');
    expect(inLocal('10.0.0.1')).toBe('private');
  });

  it('calls no IPv6 address public that carries an IPv4 address in a known form', () => {
    fc.assert(
      fc.property(fc.ipV4(), (quad) => {
        fc.pre(isIPv4(quad));
        const value = parseIpAddress(quad)!.value;
        const hex = `${(value >> 16n).toString(16)}:${(value & 0xffffn).toString(16)}`;
        for (const text of [
          `::ffff:${quad}`,
          `::${quad}`,
          `64:ff9b::${quad}`,
          `2002:${hex}::1`,
          `2001:0:${hex}::1`,
        ]) {
          expect(classOf(text)).not.toBe('public');
        }
      }),
    );
  });
});

it('opens link-local and metadata addresses to nobody', () => {
  const nameable: AddressClass[] = ['public', 'local-network', 'loopback', 'private', 'shared'];
  expect(nameable.filter(isNameable)).toEqual(nameable);
  const never: AddressClass[] = [
    ...(['link-local', 'metadata', 'unspecified', 'multicast', 'broadcast'] as const),
    ...(['benchmarking', 'documentation', 'embedded-ipv4', 'reserved'] as const),
  ];
  expect(never.filter(isNameable)).toEqual([]);
});
