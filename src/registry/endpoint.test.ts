import { describe, expect, it } from 'vitest';
import { parseReference } from '../oci/index.js';
import { endpointsOf } from './endpoint.js';
import type { RegistryOptions } from './options.js';

function basesOf(reference: string, options: RegistryOptions = {}): string[][] {
  return endpointsOf(parseReference(reference), options).map(({ bases }) => bases.map((base) => base.href));
}

describe('endpointsOf', () => {
  it.each<[reference: string, options: RegistryOptions, expected: string[][]]>([
    ['debian', {}, [['https://registry-1.docker.io/']]],
    ['ghcr.io/a/b', {}, [['https://ghcr.io/']]],
    ['localhost:5000/x', {}, [['http://localhost:5000/', 'https://localhost:5000/']]],
    ['[::1]:5000/x', {}, [['http://[::1]:5000/', 'https://[::1]:5000/']]],
    ['10.0.0.1:5000/x', {}, [['https://10.0.0.1:5000/']]],
    [
      '10.0.0.1:5000/x',
      { insecure: ['10.0.0.1:5000'] },
      [['https://10.0.0.1:5000/', 'http://10.0.0.1:5000/']],
    ],
    ['10.0.0.1:5000/x', { insecure: ['10.0.0.1'] }, [['https://10.0.0.1:5000/', 'http://10.0.0.1:5000/']]],
    ['10.0.0.1:5000/x', { insecure: ['10.0.0.1:5001'] }, [['https://10.0.0.1:5000/']]],
    [
      'debian',
      { mirrors: { 'docker.io': ['mirror.example', 'https://cache.example:8443/hub/'] } },
      [['https://mirror.example/'], ['https://cache.example:8443/hub'], ['https://registry-1.docker.io/']],
    ],
    ['ghcr.io/a/b', { mirrors: { 'docker.io': ['mirror.example'] } }, [['https://ghcr.io/']]],
  ])('%s with %j', (reference, options, expected) => {
    expect(basesOf(reference, options)).toEqual(expected);
  });

  it.each(['', 'ftp://x', 'https://user@x', 'a b', 'https://x/?q'])('refuses the mirror %j', (mirror) => {
    expect(() => basesOf('debian', { mirrors: { 'docker.io': [mirror] } })).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    );
  });
});
