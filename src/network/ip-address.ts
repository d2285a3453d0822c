/**
 * IP addresses as numbers, so that blocks of them can be compared.
 *
 * Source: RFC 4291 section 2.2 and RFC 5952 (IPv6 text), RFC 6943 section 3.1.1 (why loose IPv4
 * spellings such as `0177.1` or `2130706433` are not accepted).
 */
import { isIPv4, isIPv6 } from 'node:net';

export interface IpAddress {
  readonly family: 4 | 6;
  /** The address as an unsigned number: below 2^32 for IPv4, below 2^128 for IPv6. */
  readonly value: bigint;
  /** The one canonical spelling: dotted quad, or RFC 5952 without brackets. */
  readonly text: string;
}

/** A block of addresses: every address of `family` whose first `prefixLength` bits are those of `value`. */
export interface IpBlock {
  readonly family: 4 | 6;
  readonly value: bigint;
  /** 0..32 for IPv4, 0..128 for IPv6. */
  readonly prefixLength: number;
}

/**
 * Reads an address in its usual spelling: four decimal numbers without leading zeros, or RFC 4291
 * text without brackets and without a zone.
 *
 * @returns undefined for anything else, also for octal, hexadecimal and shortened IPv4.
 */
export function parseIpAddress(text: string): IpAddress | undefined {
  if (isIPv4(text)) return { family: 4, value: ipv4Value(text), text };
  if (!isIPv6(text) || text.includes('%')) return undefined;
  const value = ipv6Value(text);
  return { family: 6, value, text: formatIpv6(value) };
}

/** Reads `ADDRESS/LENGTH`; undefined when either half is not valid. */
export function parseIpBlock(text: string): IpBlock | undefined {
  const slash = text.indexOf('/');
  const address = parseIpAddress(text.slice(0, Math.max(slash, 0)));
  const length = text.slice(slash + 1);
  if (address === undefined || !/^\d{1,3}$/.test(length)) return undefined;
  const prefixLength = Number(length);
  if (prefixLength > bitCount(address.family)) return undefined;
  return { family: address.family, value: address.value, prefixLength };
}

export function isInBlock(address: IpAddress, block: IpBlock): boolean {
  if (address.family !== block.family) return false;
  const hostBits = BigInt(bitCount(block.family) - block.prefixLength);
  return address.value >> hostBits === block.value >> hostBits;
}

function bitCount(family: 4 | 6): number {
  return family === 4 ? 32 : 128;
}

function ipv4Value(text: string): bigint {
  return text.split('.').reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

/** @param text Text that `isIPv6` has accepted. */
function ipv6Value(text: string): bigint {
  const lastColon = text.lastIndexOf(':');
  const tail = text.slice(lastColon + 1);
  let hextets = text;
  if (tail.includes('.')) {
    const quad = ipv4Value(tail);
    hextets = `${text.slice(0, lastColon + 1)}${(quad >> 16n).toString(16)}:${(quad & 0xffffn).toString(16)}`;
  }
  const [head = '', rest] = hextets.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = rest === undefined || rest === '' ? [] : rest.split(':');
  const zeros = new Array<string>(8 - before.length - after.length).fill('0');
  return [...before, ...zeros, ...after].reduce((value, part) => (value << 16n) | BigInt(`0x${part}`), 0n);
}

/** RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups as `::`. */
function formatIpv6(value: bigint): string {
  const groups = Array.from({ length: 8 }, (_, index) => (value >> BigInt(112 - 16 * index)) & 0xffffn);
  let runStart = -1;
  let runLength = 1;
  for (let start = 0; start < 8; start += 1) {
    let end = start;
    while (end < 8 && groups[end] === 0n) end += 1;
    if (end - start > runLength) [runStart, runLength] = [start, end - start];
  }
  const text = (part: readonly bigint[]) => part.map((group) => group.toString(16)).join(':');
  if (runStart === -1) return text(groups);
  return `${text(groups.slice(0, runStart))}::${text(groups.slice(runStart + runLength))}`;
}
