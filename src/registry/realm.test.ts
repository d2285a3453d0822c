import { describe, expect, it } from 'vitest';
import { checkRealm, checkRealmForCredentials } from './realm.js';

describe('checkRealm', () => {
  it.each<[registry: string, realm: string]>([
    ['https://registry-1.docker.io', 'https://auth.docker.io/token'],
    ['https://ghcr.io', 'https://ghcr.io/token'],
    ['https://10.0.0.5', 'https://10.0.0.5/token'],
    ['https://10.0.0.5:5000', 'https://10.0.0.5:8443/token'],
    ['http://127.0.0.1:5000', 'http://127.0.0.1:5001/token'],
    ['http://localhost:5000', 'http://localhost:5001/token'],
    ['http://insecure.example', 'https://auth.example/token'],
    ['http://insecure.example', 'http://insecure.example/token'],
  ])('%s may name %s', (registry, realm) => {
    expect(checkRealm(new URL(registry), realm).href).toBe(realm);
  });

  it.each<[registry: string, realm: string | undefined]>([
    ['https://r.example', undefined],
    ['https://r.example', ''],
    ['https://r.example', '/token'],
    ['https://r.example', 'r.example/token'],
    ['https://r.example', 'ftp://r.example/token'],
    ['https://r.example', 'file:///etc/passwd'],
    ['https://r.example', 'javascript:alert(1)'],
    ['https://r.example', 'http://r.example/token'],
    ['https://r.example', 'https://user:pass@r.example/token'],
    ['https://r.example', 'https://user@r.example/token'],
    ['https://r.example', 'https://127.0.0.1/token'],
    ['https://r.example', 'https://2130706433/token'],
    ['https://r.example', 'https://0x7f.1/token'],
    ['https://r.example', 'https://localhost/token'],
    ['https://r.example', 'https://a.localhost./token'],
    ['https://r.example', 'https://0.0.0.0/token'],
    ['https://r.example', 'https://10.1.2.3/token'],
    ['https://r.example', 'https://172.16.0.1/token'],
    ['https://r.example', 'https://172.31.255.255/token'],
    ['https://r.example', 'https://192.168.0.1/token'],
    ['https://r.example', 'https://169.254.169.254/latest/meta-data'],
    ['https://r.example', 'https://100.64.0.1/token'],
    ['https://r.example', 'https://[::1]/token'],
    ['https://r.example', 'https://[::]/token'],
    ['https://r.example', 'https://[fe80::1]/token'],
    ['https://r.example', 'https://[fd00:ec2::254]/token'],
    ['https://r.example', 'https://[::ffff:169.254.169.254]/token'],
    ['https://r.example', 'https://[::ffff:7f00:1]/token'],
    ['https://r.example', 'https://[64:ff9b::a9fe:a9fe]/token'],
    ['http://127.0.0.1:5000', 'http://10.0.0.1/token'],
    ['http://127.0.0.1:5000', 'http://auth.example/token'],
    ['http://r.example', 'http://other.example/token'],
    ['https://r.example', `https://r.example/${'a'.repeat(2048)}`],
  ])('%s may not name %s', (registry, realm) => {
    expect(() => checkRealm(new URL(registry), realm)).toThrow(
      expect.objectContaining({ code: 'REGISTRY_REALM_REFUSED' }),
    );
  });

  it.each(['https://172.32.0.1/t', 'https://172.15.0.1/t', 'https://11.0.0.1/t', 'https://[2001:db8::1]/t'])(
    'takes %s for public',
    (realm) => {
      expect(checkRealm(new URL('https://r.example'), realm).href).toBe(realm);
    },
  );

  it('shows no secret of a realm', () => {
    try {
      checkRealm(new URL('https://r.example'), 'http://me:hunter2@r.example/token?key=hunter2');
      expect.unreachable();
    } catch (error) {
      expect(JSON.stringify(error)).not.toContain('hunter2');
    }
  });
});

describe('checkRealmForCredentials', () => {
  it.each<[registry: string, realm: string]>([
    ['https://registry-1.docker.io', 'https://auth.docker.io/token'],
    ['https://ghcr.io', 'https://ghcr.io/token'],
    ['https://registry.gitlab.com', 'https://gitlab.com/jwt/auth'],
    ['https://registry.corp.example.co.uk', 'https://auth.corp.example.co.uk/t'],
    ['https://r.example.co.uk', 'https://a.example.co.uk/t'],
    ['http://127.0.0.1:5000', 'http://127.0.0.1:5001/token'],
  ])('%s: credentials may go to %s', (registry, realm) => {
    checkRealmForCredentials(new URL(registry), new URL(realm), []);
  });

  it.each<[registry: string, realm: string]>([
    ['https://registry-1.docker.io', 'https://auth.docker.com/token'],
    ['https://registry-1.docker.io', 'https://docker.io.evil.example/token'],
    ['https://r.example.co.uk', 'https://evil.co.uk/t'],
    ['https://a.com.au', 'https://b.com.au/t'],
    ['https://ghcr.io', 'https://evil.io/t'],
    ['https://1.2.3.4', 'https://9.2.3.4/t'],
    ['https://[2001:db8::1]', 'https://[2001:db8::2]/t'],
  ])('%s: credentials may not go to %s', (registry, realm) => {
    const check = (trusted: string[]) => () =>
      checkRealmForCredentials(new URL(registry), new URL(realm), trusted);
    expect(check([])).toThrow(expect.objectContaining({ code: 'REGISTRY_REALM_REFUSED' }));
    expect(check([new URL(realm).hostname])).not.toThrow();
  });
});
