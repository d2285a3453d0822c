/** The judges of the other tests can say no. */
import { closeSync, openSync, statSync, writeSync } from 'node:fs';
import { expect, it } from 'vitest';
import { CAN_MOUNT, Mounted } from './mounted.js';
import { build, debugfs, directory, EMPTY, expectClean, file, Scratch } from './support.js';

/** An image with one changed byte in the inode of /f. */
function damaged(scratch: Scratch): string {
  const image = scratch.file('image');
  build(image, () => directory({ f: file(EMPTY) }));
  const [, block, offset] = /block (\d+), offset 0x([0-9a-f]+)/.exec(debugfs(image, 'imap /f')) ?? [];
  const fd = openSync(image, 'r+');
  writeSync(fd, Buffer.from([1]), 0, 1, Number(block) * 4096 + Number.parseInt(offset ?? '', 16) + 2);
  closeSync(fd);
  return image;
}

it('e2fsck sees one wrong byte', () => {
  using scratch = new Scratch();
  const image = damaged(scratch);
  expect(() => expectClean(image)).toThrow(/status: 4, complaints/);
});

it.runIf(CAN_MOUNT)('the kernel logs one wrong byte (needs root)', () => {
  using scratch = new Scratch();
  const image = damaged(scratch);
  expect(() => {
    using mounted = new Mounted(image);
    expect(() => statSync(`${mounted.path}/f`)).toThrow();
  }).toThrow(/EXT4-fs error.*iget: checksum invalid/);
});
