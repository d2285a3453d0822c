import { describe, expect, it } from 'vitest';
import { nextLocation } from './redirect.js';

const never = (): boolean => false;
const at = (...urls: string[]): URL[] => urls.map((url) => new URL(url));

describe('nextLocation', () => {
  it.each<[from: string, location: string, to: string]>([
    ['https://r.example/v2/a', 'https://cdn.example/x?sig=1', 'https://cdn.example/x?sig=1'],
    ['https://r.example/v2/a', '/b', 'https://r.example/b'],
    ['https://r.example/v2/a', '//cdn.example/x', 'https://cdn.example/x'],
    ['https://r.example/v2/a', 'b#fragment', 'https://r.example/v2/b'],
    ['https://r.example/v2/a', 'https://10.0.0.1/minio', 'https://10.0.0.1/minio'],
    ['http://127.0.0.1:5000/a', 'https://cdn.example/x', 'https://cdn.example/x'],
  ])('from %s by %s to %s', (from, location, to) => {
    expect(nextLocation(at(from), location, never).href).toBe(to);
  });

  it('follows plain HTTP where that is allowed', () => {
    expect(nextLocation(at('http://127.0.0.1:1/a'), 'http://127.0.0.1:2/b', () => true).href).toBe(
      'http://127.0.0.1:2/b',
    );
  });

  it.each<[name: string, visited: string[], location: string | undefined]>([
    ['nothing', ['https://r.example/a'], undefined],
    ['rubbish', ['https://r.example/a'], 'https://'],
    ['another scheme', ['https://r.example/a'], 'ftp://r.example/a'],
    ['a file', ['https://r.example/a'], 'file:///etc/passwd'],
    ['data', ['https://r.example/a'], 'data:,x'],
    ['plain HTTP', ['https://r.example/a'], 'http://r.example/a'],
    ['plain HTTP after a hop', ['https://r.example/a', 'https://c.example/a'], 'http://c.example/b'],
    ['plain HTTP on another host', ['http://127.0.0.1:5000/a'], 'http://r.example/a'],
    ['user-info', ['https://r.example/a'], 'https://me:pw@c.example/a'],
    ['itself', ['https://r.example/a'], '/a'],
    ['a loop of two', ['https://r.example/a', 'https://r.example/b'], '/a'],
    ['this machine', ['https://r.example/a'], 'https://127.0.0.1/a'],
    ['this machine by name', ['https://r.example/a'], 'https://localhost:2375/a'],
    ['metadata', ['https://r.example/a'], 'https://169.254.169.254/latest'],
    ['metadata, mapped', ['https://r.example/a'], 'https://[::ffff:169.254.169.254]/latest'],
    ['a sixth hop', ['a', 'b', 'c', 'd', 'e', 'f'].map((path) => `https://r.example/${path}`), '/g'],
    ['an endless location', ['https://r.example/a'], `https://r.example/${'x'.repeat(20_000)}`],
  ])('refuses %s', (_name, visited, location) => {
    expect(() => nextLocation(at(...visited), location, never)).toThrow(
      expect.objectContaining({ code: 'REDIRECT_REFUSED' }),
    );
  });

  it('shows no signature of a refused URL', () => {
    try {
      nextLocation(at('https://r.example/a'), 'http://c.example/x?X-Amz-Signature=hunter2', never);
      expect.unreachable();
    } catch (error) {
      expect(JSON.stringify(error)).not.toContain('hunter2');
    }
  });
});
