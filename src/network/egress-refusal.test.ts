import { describe, expect, it } from 'vitest';
import { describeRefusal, encodeRefusal } from './egress-refusal.js';
import { HOST_ALIAS, parseHostPattern } from './host-pattern.js';

describe('describeRefusal', () => {
  it.each([
    ['host-not-allowed', 'a.test', 443, '--allow-host a.test'],
    ['host-not-allowed', 'a.test', 80, '--allow-host a.test'],
    ['host-not-allowed', 'a.test', 8443, '--allow-host a.test:8443'],
    ['port-not-allowed', 'a.test', 22, '--allow-host a.test:22'],
    ['host-not-allowed', '8.8.8.8', 443, '--allow-host 8.8.8.8'],
    ['host-not-allowed', '2606:4700::1111', 8443, '--allow-host [2606:4700::1111]:8443'],
    ['host-not-allowed', '2606:4700::1111', 443, '--allow-host [2606:4700::1111]'],
    ['host-not-allowed', HOST_ALIAS, 80, `--allow-host ${HOST_ALIAS}:80`],
    ['address-private', 'db.corp', 443, '--allow-host db.corp=ADDRESS'],
    ['address-private', 'db.corp', 5432, '--allow-host db.corp:5432=ADDRESS'],
    ['address-private', '10.0.0.5', 443, '--allow-host 10.0.0.5'],
    ['address-private', 'fd00::5', 8080, '--allow-host [fd00::5]:8080'],
    ['address-local-network', 'a.test', 443, '--allow-host a.test=ADDRESS'],
    ['address-loopback', '127.0.0.1', 5000, `--allow-host ${HOST_ALIAS}:5000`],
    ['address-loopback', 'localhost', 443, `--allow-host ${HOST_ALIAS}:443`],
  ] as const)('%s %s:%i advises %s, which is a pattern that works', (reason, host, port, advice) => {
    const refusal = describeRefusal(reason, host, port);
    expect(refusal.status).toBe(403);
    expect(`${refusal.body} `).toContain(`${advice}`);
    expect(refusal.phrase).toBe(`Forbidden by hearth: allow with ${advice}`);
    const pattern = parseHostPattern(advice.slice('--allow-host '.length).replace('ADDRESS', '10.0.0.5'));
    expect(pattern.ports).toContain(port);
  });

  it.each(['address-metadata', 'address-link-local', 'address-multicast', 'address-embedded-ipv4'] as const)(
    '%s gives no advice',
    (reason) => {
      const refusal = describeRefusal(reason, 'a.test', 443);
      expect(refusal.status).toBe(403);
      expect(refusal.body + refusal.phrase).not.toContain('--allow-host');
    },
  );

  it.each([
    ['request-malformed', 400],
    ['request-unsupported', 501],
    ['headers-too-large', 431],
    ['connections-too-many', 503],
    ['pipeline-too-long', 503],
    ['name-not-found', 502],
    ['resolve-failed', 502],
    ['resolve-timeout', 504],
    ['connect-failed', 502],
    ['connect-timeout', 504],
    ['response-invalid', 502],
    ['response-timeout', 504],
  ] as const)('%s is a %i', (reason, status) => {
    expect(describeRefusal(reason, 'a.test', 443)).toMatchObject({
      status,
      body: expect.stringMatching(/^hearth could not serve a connection to a\.test:443: [^\n]+\.\n$/),
    });
    expect(describeRefusal(reason, '', 0).body).toMatch(/^hearth could not serve a request: /);
  });
});

it('encodeRefusal writes a whole response', () => {
  expect(encodeRefusal({ status: 403, phrase: 'No', body: 'ä\n' })).toBe(
    'HTTP/1.1 403 No\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\nConnection: close\r\n\r\nä\n',
  );
});
