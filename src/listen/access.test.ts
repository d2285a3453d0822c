import { describe, expect, it } from 'vitest';
import { tokenGuard } from './access.js';

const TOKEN = 'a-token-of-thirty-two-characters';
const guard = tokenGuard(TOKEN);
const authorization = `Bearer ${TOKEN}`;

describe('the guard of TCP', () => {
  it.each(['127.0.0.1', '127.0.0.1:7420', 'localhost:7420', 'LOCALHOST', '[::1]:7420', '192.0.2.1:80'])(
    'lets host %s in',
    (host) => {
      expect(() => guard({ headers: { host, authorization } })).not.toThrow();
    },
  );

  it.each([
    undefined,
    '',
    'example.org',
    'localhost.example.org',
    'localhost:x',
    '127.0.0.1.example.org:7420',
    '::1',
    '[::1',
    '[127.0.0.1]',
    'a@127.0.0.1',
  ])('refuses host %s', (host) => {
    const headers = { authorization, ...(host === undefined ? {} : { host }) };
    expect(() => guard({ headers })).toThrow(expect.objectContaining({ code: 'DAEMON_HOST_REFUSED' }));
  });

  it.each([{ origin: 'null' }, { origin: 'http://127.0.0.1:7420' }])('refuses a web page: %j', (headers) => {
    expect(() => guard({ headers: { host: 'localhost', authorization, ...headers } })).toThrow(
      expect.objectContaining({ code: 'DAEMON_HOST_REFUSED' }),
    );
  });

  it.each([
    undefined,
    '',
    'Bearer',
    'Bearer ',
    `Basic ${TOKEN}`,
    TOKEN,
    `Bearer ${TOKEN}x`,
    `Bearer ${TOKEN.slice(1)}`,
    `Bearer ${TOKEN} x`,
  ])('refuses authorization %j', (given) => {
    const headers = { host: 'localhost', ...(given === undefined ? {} : { authorization: given }) };
    expect(() => guard({ headers })).toThrow(expect.objectContaining({ code: 'DAEMON_UNAUTHORIZED' }));
  });
});
