import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HearthError } from '../../errors/index.js';
import { Redactor } from './redactor.js';

const SECRET = 'hunter2hunter2';
const through = async (redactor: Redactor, pieces: readonly (Buffer | string)[]): Promise<string> => {
  const stream = redactor.stream({ isAnswered: false });
  for (const piece of pieces) stream.write(Buffer.from(piece));
  stream.end();
  return (await buffer(stream)).toString();
};

describe('Redactor', () => {
  it.each([
    ['before hunter2hunter2 after', 'before [REDACTED] after'],
    ['hunter2hunter2hunter2hunter2', '[REDACTED][REDACTED]'],
    ['hunter2hunter', 'hunter2hunter'],
    ['', ''],
    ['hhunter2hunter2', 'h[REDACTED]'],
  ])('makes of %j %j', (text, expected) => {
    expect(new Redactor([SECRET]).text(text)).toBe(expected);
  });

  it('takes the longer one where two begin', () => {
    expect(new Redactor(['token', 'token-of-the-other']).text('a token-of-the-other b token c')).toBe(
      'a [REDACTED] b [REDACTED] c',
    );
  });

  it('knows a secret without the blank space around it, and each longer line of it by itself', () => {
    const key = '-----BEGIN KEY-----\nabcdefgh12345678\nshort\n-----END KEY-----\n';
    const redactor = new Redactor([key]);
    expect(redactor.text(`<${key.trim()}>`)).toBe('<[REDACTED]>');
    expect(redactor.text(key.replaceAll('\n', '\r\n'))).toBe(
      '[REDACTED]\r\n[REDACTED]\r\nshort\r\n[REDACTED]\r\n',
    );
  });

  it('leaves alone what would stand in any output by chance', () => {
    expect(new Redactor(['abc']).isNeeded).toBe(false);
    expect(new Redactor(['abcd']).text('abcd')).toBe('[REDACTED]');
  });

  it('finds a secret that is longer than what is held back', () => {
    const long = Array.from({ length: 3000 }, (_, index) => `${index};`).join('');
    const shown = new Redactor([long]).text(`[${long}]`);
    expect(shown.replaceAll('[REDACTED]', '')).toBe('[]');
  });

  it('gives on what it held back when nothing follows, and at the end', async () => {
    const stream = new Redactor([SECRET]).stream({ isAnswered: true });
    stream.write('Password: hunter2');
    const shown: string[] = [];
    stream.on('data', (chunk: Buffer) => shown.push(chunk.toString()));
    await expect.poll(() => shown.join(''), { timeout: 30_000 }).toBe('Password: hunter2');
    stream.end('h');
    await once(stream, 'end');
    expect(shown.join('')).toBe('Password: hunter2h');
  });

  it('covers a secret at the end that is the beginning of another', async () => {
    const redactor = new Redactor(['aaaa', 'aaaab']);
    expect(await through(redactor, ['xaa', 'aa'])).toBe('x[REDACTED]');
    expect(await through(redactor, ['xaaaa', 'b'])).toBe('x[REDACTED]');
    expect(await through(redactor, ['xaaaa', 'c'])).toBe('x[REDACTED]c');
  });

  it('gives the same however its input is cut', async () => {
    const unit = fc.constantFrom('a', 'b', 'é');
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit, minLength: 4, maxLength: 9 }), { minLength: 1, maxLength: 4 }),
        fc.string({ unit, maxLength: 80 }),
        fc.array(fc.nat({ max: 160 }), { maxLength: 10 }),
        async (secrets, text, cuts) => {
          const redactor = new Redactor(secrets);
          const whole = Buffer.from(text);
          const points = [0, ...cuts.map((cut) => Math.min(cut, whole.byteLength)), whole.byteLength].sort(
            (one, other) => one - other,
          );
          const pieces = points.slice(1).map((point, index) => whole.subarray(points[index], point));
          const shown = await through(redactor, pieces);
          expect(shown).toBe(redactor.bytes(whole).toString());
          for (const secret of secrets) expect(shown).not.toContain(secret);
        },
      ),
    );
  });

  it('covers every text of an error, and leaves an error without one as it is', () => {
    const redactor = new Redactor([SECRET]);
    const plain = new HearthError('EXEC_FAILED', 'it failed', { details: { code: 3 } });
    expect(redactor.error(plain)).toBe(plain);
    const told = redactor.error(
      new HearthError('EXEC_FAILED', `no ${SECRET}`, {
        hint: `Type ${SECRET}.`,
        details: { words: [SECRET, 1], deep: { name: SECRET } },
      }),
    );
    expect((told as HearthError).toJSON()).toEqual({
      code: 'EXEC_FAILED',
      kind: 'unavailable',
      message: 'no [REDACTED]',
      hint: 'Type [REDACTED].',
      details: { words: ['[REDACTED]', 1], deep: { name: '[REDACTED]' } },
    });
  });
});
