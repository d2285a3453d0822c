import { networkInterfaces } from 'node:os';
import { expect, it } from 'vitest';
import { isInBlock, parseIpAddress } from './ip-address.js';
import { readLocalNetworks } from './local-networks.js';

it('covers every address of this machine, and no more than a neighbourhood', () => {
  const blocks = readLocalNetworks();
  const own = Object.values(networkInterfaces()).flatMap((addresses = []) => addresses);
  expect(own.length).toBeGreaterThan(0);
  for (const { address } of own) {
    const parsed = parseIpAddress(address.replace(/%.*/, ''))!;
    expect(blocks.some((block) => isInBlock(parsed, block))).toBe(true);
  }
  for (const { family, prefixLength } of blocks) {
    expect(prefixLength).toBeGreaterThanOrEqual(family === 4 ? 16 : 48);
  }
});
