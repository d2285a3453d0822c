import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HearthError } from '../errors/index.js';
import { formatPortSpec, parsePortSpec } from './port-spec.js';

describe('parsePortSpec', () => {
  it.each([
    ['8080:80', '127.0.0.1', 8080, 80],
    ['8080:80/tcp', '127.0.0.1', 8080, 80],
    ['80', '127.0.0.1', 0, 80],
    ['80/tcp', '127.0.0.1', 0, 80],
    ['0:80', '127.0.0.1', 0, 80],
    ['1:65535', '127.0.0.1', 1, 65_535],
    ['127.0.0.1:8080:80', '127.0.0.1', 8080, 80],
    ['127.0.0.1::80', '127.0.0.1', 0, 80],
    ['0.0.0.0:8080:80', '0.0.0.0', 8080, 80],
    ['[::1]:8080:80', '::1', 8080, 80],
    ['[0:0:0:0:0:0:0:1]::80', '::1', 0, 80],
    ['[::]:8080:80', '::', 8080, 80],
  ])('%s', (text, address, hostPort, guestPort) => {
    expect(parsePortSpec(text)).toEqual({ address, hostPort, guestPort });
  });

  it.each([
    ['', 'not a port of the guest'],
    ['0', 'not a port of the guest'],
    ['8080:', 'not a port of the guest'],
    ['8080:0', 'not a port of the guest'],
    ['8080:65536', 'not a port of the guest'],
    ['8080:080', 'not a port of the guest'],
    ['8080: 80', 'not a port of the guest'],
    ['8080:http', 'not a port of the guest'],
    [':80', 'not a port of the host'],
    ['65536:80', 'not a port of the host'],
    ['-1:80', 'not a port of the host'],
    ['8000-8010:80', 'a range'],
    ['8000-8010:8000-8010', 'a range'],
    ['8000-8010', 'a range'],
    ['8080:80/udp', 'protocol "udp"'],
    ['8080:80/', 'protocol ""'],
    ['8080:80/TCP', 'protocol "TCP"'],
    ['8080:80/tcp/tcp', 'protocol "tcp/tcp"'],
    ['localhost:8080:80', 'not an IP address'],
    [':8080:80', 'not an IP address'],
    ['127.1:8080:80', 'not an IP address'],
    ['[127.0.0.1]:8080:80', 'not an IP address'],
    ['[::1%lo]:8080:80', 'not an IP address'],
    ['*:8080:80', 'not an IP address'],
    ['::1:8080:80', 'too many parts'],
    ['1:2:3:4', 'too many parts'],
    ['[::1:8080:80', 'too many parts'],
  ])('refuses %j: %s', (text, problem) => {
    expect(() => parsePortSpec(text)).toThrow(
      expect.objectContaining({
        code: 'PORT_SPEC_INVALID',
        details: { spec: text, problem: expect.stringContaining(problem) },
      }),
    );
  });

  it('reads back what formatPortSpec writes', () => {
    const address = fc.oneof(
      fc.ipV4(),
      fc.ipV6().map((text) => new URL(`http://[${text}]/`).hostname.slice(1, -1)),
    );
    const port = fc.integer({ min: 1, max: 65_535 });
    fc.assert(
      fc.property(address, fc.nat(65_535), port, (one, hostPort, guestPort) => {
        const spec = { address: one, hostPort, guestPort };
        expect(parsePortSpec(formatPortSpec(spec))).toEqual(spec);
      }),
    );
  });

  it('throws nothing but its own error', () => {
    const texts = fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[\d:[\]./-]{0,30}$/));
    fc.assert(
      fc.property(texts, (text) => {
        try {
          parsePortSpec(text);
        } catch (error) {
          expect(HearthError.is(error)).toBe(true);
        }
      }),
      { numRuns: 5000 },
    );
  });
});
