import { describe, expect, it } from 'vitest';
import { printable, redactUrl } from './redact.js';

describe('redactUrl', () => {
  it.each([
    ['https://r.example/v2/a/blobs/x', 'https://r.example/v2/a/blobs/x'],
    ['https://me:pw@r.example/a', 'https://r.example/a'],
    [
      'https://r.example/a?X-Amz-Signature=abc&X-Amz-Expires=1',
      'https://r.example/a?X-Amz-Signature=REDACTED&X-Amz-Expires=REDACTED',
    ],
    [
      'https://r.example/t?service=s&scope=repository%3Aa%3Apull&account=me',
      'https://r.example/t?service=s&scope=repository%3Aa%3Apull&account=REDACTED',
    ],
    ['https://r.example/t?token=a&token=b', 'https://r.example/t?token=REDACTED'],
    ['https://r.example/a#secret', 'https://r.example/a'],
  ])('%s as %s', (url, shown) => {
    expect(redactUrl(new URL(url))).toBe(shown);
  });
});

describe('printable', () => {
  it('keeps a line of text and nothing else', () => {
    expect(printable('a\r\n\x1b]52;c;x\x07b\u202ec\u2028', 20)).toBe('a ]52;c;x b c');
    expect(printable('x'.repeat(30), 10)).toBe(`${'x'.repeat(10)}…`);
  });
});
