import { describe, expect, it } from 'vitest';
import { assertReadiness, httpStatus, httpTarget } from './readiness.js';
import { lastLines } from './services.js';

describe('lastLines', () => {
  it.each([
    ['', 3, ''],
    ['a\nb\nc\n', 0, ''],
    ['a\nb\nc\n', 1, 'c\n'],
    ['a\nb\nc\n', 2, 'b\nc\n'],
    ['a\nb\nc\n', 3, 'a\nb\nc\n'],
    ['a\nb\nc\n', 4, 'a\nb\nc\n'],
    ['a\nb\nc', 1, 'c'],
    ['a\nb\nc', 2, 'b\nc'],
    ['\n\n', 1, '\n'],
    ['a', 1, 'a'],
  ])('%j, %d', (text, count, wanted) => {
    expect(lastLines(text, count)).toBe(wanted);
  });
});

describe('what shows that a service is ready', () => {
  it.each([
    [
      'http://127.0.0.1:8080/health?x=1',
      '127.0.0.1',
      8080,
      'GET /health?x=1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n',
    ],
    ['http://localhost/', '127.0.0.1', 80, 'GET / HTTP/1.1\r\nHost: localhost\r\n'],
    ['http://[::1]:1', '::1', 1, 'GET / HTTP/1.1\r\nHost: [::1]:1\r\n'],
  ])('%s', (url, host, port, begin) => {
    const target = httpTarget(url);
    expect(target).toMatchObject({ host, port });
    expect(target.request.startsWith(begin)).toBe(true);
  });

  it.each([
    '',
    'x',
    'https://127.0.0.1/',
    'http://example.org/',
    'http://u:p@127.0.0.1/',
    'file:///etc/passwd',
  ])('refuses %j', (url) => {
    expect(() => assertReadiness({ kind: 'http', url })).toThrow(
      expect.objectContaining({ code: 'USAGE_INVALID', details: { url } }),
    );
  });

  it('refuses a file without an absolute path', () => {
    expect(() => assertReadiness({ kind: 'file', path: 'x' })).toThrow(
      expect.objectContaining({ code: 'USAGE_INVALID' }),
    );
  });

  it.each([
    ['HTTP/1.1 200 OK\r\n', 200],
    ['HTTP/1.0 404\r\n', 404],
    ['HTTP/1.1 20', undefined],
    ['HTTP/2 200\r\n', undefined],
    ['SSH-2.0-x\r\n', undefined],
    ['', undefined],
  ])('the status of %j is %s', (head, status) => {
    expect(httpStatus(head)).toBe(status);
  });
});
