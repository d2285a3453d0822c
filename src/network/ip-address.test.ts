import { SocketAddress } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isInBlock, parseIpAddress, parseIpBlock } from './ip-address.js';

describe('parseIpAddress', () => {
  it.each([
    ['0.0.0.0', 4, 0n, '0.0.0.0'],
    ['255.255.255.255', 4, 0xffff_ffffn, '255.255.255.255'],
    ['1.2.3.4', 4, 0x0102_0304n, '1.2.3.4'],
    ['::', 6, 0n, '::'],
    ['::1', 6, 1n, '::1'],
    ['1::', 6, 1n << 112n, '1::'],
    ['::ffff:1.2.3.4', 6, 0xffff_0102_0304n, '::ffff:102:304'],
    ['64:ff9b::10.0.0.1', 6, (0x64_ff9bn << 96n) | 0x0a00_0001n, '64:ff9b::a00:1'],
    ['2001:DB8:0:0:1:0:0:1', 6, (0x2001_0db8n << 96n) | (1n << 48n) | 1n, '2001:db8::1:0:0:1'],
    ['1:2:3:4:5:6:7:8', 6, 0x1_0002_0003_0004_0005_0006_0007_0008n, '1:2:3:4:5:6:7:8'],
    ['1:0:3:4:5:6:7:8', 6, 0x1_0000_0003_0004_0005_0006_0007_0008n, '1:0:3:4:5:6:7:8'],
  ] as const)('%s', (text, family, value, canonical) => {
    expect(parseIpAddress(text)).toEqual({ family, value, text: canonical });
  });

  it.each([
    '',
    '1.2.3',
    '1.2.3.4.5',
    '256.0.0.1',
    '01.2.3.4',
    '0x7f.0.0.1',
    '0177.0.0.1',
    '2130706433',
    '127.1',
    ' 1.2.3.4',
    '1.2.3.4\n',
    '[::1]',
    'fe80::1%eth0',
    ':::',
    '1::2::3',
    '12345::',
    '::ffff:256.1.1.1',
    'localhost',
  ])('refuses %j', (text) => {
    expect(parseIpAddress(text)).toBeUndefined();
  });

  it('spells every IPv6 address so that it reads back as the same one, as the system does', () => {
    fc.assert(
      fc.property(fc.ipV6(), (text) => {
        const parsed = parseIpAddress(text);
        expect(parsed?.family).toBe(6);
        expect(parseIpAddress(parsed?.text ?? '')).toEqual(parsed);
        const systems = new SocketAddress({ address: text, family: 'ipv6' }).address;
        expect(parseIpAddress(systems)?.value).toBe(parsed?.value);
        expect(new URL(`http://[${text}]/`).hostname).toBe(`[${parsed?.text}]`);
      }),
      { numRuns: 2000 },
    );
  });

  it('never throws', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void parseIpAddress(text)));
  });
});

describe('isInBlock', () => {
  it.each([
    ['10.0.0.0/8', '10.255.255.255', true],
    ['10.0.0.0/8', '11.0.0.0', false],
    ['10.0.0.0/8', '9.255.255.255', false],
    ['172.16.0.0/12', '172.31.255.255', true],
    ['172.16.0.0/12', '172.32.0.0', false],
    ['1.2.3.4/32', '1.2.3.4', true],
    ['1.2.3.4/32', '1.2.3.5', false],
    ['0.0.0.0/0', '255.0.0.1', true],
    ['0.0.0.0/0', '::1', false],
    ['fe80::/10', 'febf::1', true],
    ['fe80::/10', 'fec0::1', false],
    ['192.168.1.77/24', '192.168.1.1', true],
  ])('%s has %s: %s', (block, address, expected) => {
    expect(isInBlock(parseIpAddress(address)!, parseIpBlock(block)!)).toBe(expected);
  });

  it.each(['', '10.0.0.0', '10.0.0.0/', '10.0.0.0/33', '::/129', '10.0.0/8', '10.0.0.0/-1', '10.0.0.0/8/8'])(
    'refuses the block %j',
    (text) => {
      expect(parseIpBlock(text)).toBeUndefined();
    },
  );
});
