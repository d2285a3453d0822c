import { expect, it } from 'vitest';
import { proxyEnvironment } from './proxy-environment.js';

it('sets both spellings and leaves the guest itself direct', () => {
  const url = 'http://127.0.0.1:3128';
  const direct = 'localhost,127.0.0.1,::1';
  expect(proxyEnvironment(3128)).toEqual({
    HTTP_PROXY: url,
    HTTPS_PROXY: url,
    NO_PROXY: direct,
    http_proxy: url,
    https_proxy: url,
    no_proxy: direct,
    NODE_USE_ENV_PROXY: '1',
  });
});
