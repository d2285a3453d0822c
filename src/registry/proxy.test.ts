import { describe, expect, it } from 'vitest';
import { proxyFor } from './proxy.js';

const env = { HTTPS_PROXY: 'http://proxy.example:3128', http_proxy: 'plain.example:8080' };

describe('proxyFor', () => {
  it.each<[url: string, noProxy: string | undefined, expected: string | undefined]>([
    ['https://ghcr.io/v2/', undefined, 'http://proxy.example:3128/'],
    ['http://r.example/v2/', undefined, 'http://plain.example:8080/'],
    ['https://127.0.0.1:5000/', undefined, undefined],
    ['https://localhost/', undefined, undefined],
    ['https://[::1]/', undefined, undefined],
    ['https://ghcr.io/', '*', undefined],
    ['https://ghcr.io/', 'ghcr.io', undefined],
    ['https://ghcr.io/', 'GHCR.IO', undefined],
    ['https://a.ghcr.io/', 'ghcr.io', undefined],
    ['https://a.ghcr.io/', '.ghcr.io', undefined],
    ['https://ghcr.io/', '.ghcr.io', 'http://proxy.example:3128/'],
    ['https://a.ghcr.io/', '*.ghcr.io', undefined],
    ['https://xghcr.io/', 'ghcr.io', 'http://proxy.example:3128/'],
    ['https://ghcr.io/', 'a.io, ghcr.io ,b.io', undefined],
    ['https://ghcr.io/', 'ghcr.io:443', undefined],
    ['https://ghcr.io:8443/', 'ghcr.io:443', 'http://proxy.example:3128/'],
    ['https://10.1.2.3/', '10.0.0.0/8', undefined],
    ['https://11.1.2.3/', '10.0.0.0/8', 'http://proxy.example:3128/'],
    ['https://[fd00::5]/', 'fd00::/8', undefined],
    ['https://[fd00::5]:444/', '[fd00::5]:444', undefined],
    ['https://10.1.2.3/', '10.0.0.0/33', 'http://proxy.example:3128/'],
    ['https://10.1.2.3/', '2.3', 'http://proxy.example:3128/'],
  ])('%s with NO_PROXY %s: %s', (url, noProxy, expected) => {
    expect(proxyFor(new URL(url), { ...env, NO_PROXY: noProxy })?.href).toBe(expected);
  });

  it('prefers the lower-case name and knows no proxy without one', () => {
    const url = new URL('https://r.example');
    expect(proxyFor(url, { ...env, https_proxy: 'http://lower.example' })?.href).toBe(
      'http://lower.example/',
    );
    expect(proxyFor(url, { HTTP_PROXY: 'http://x.example', https_proxy: '' })).toBeUndefined();
  });

  it.each(['socks5://x:1', 'http://', 'file:///x'])('refuses %s without showing it', (value) => {
    expect(() => proxyFor(new URL('https://r.example'), { HTTPS_PROXY: value })).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', details: { variable: 'HTTPS_PROXY' } }),
    );
  });
});
