export type {
  Ext4Device,
  Ext4Directory,
  Ext4File,
  Ext4FileData,
  Ext4Node,
  Ext4NodeBase,
  Ext4Special,
  Ext4Symlink,
  Timestamp,
} from './node.js';
export type { Ext4Source } from './reader/block-store.js';
export type { Ext4FileKind, Ext4Inode } from './reader/read-inode.js';
export { Ext4Reader } from './reader/reader.js';
export {
  createExt4Image,
  type Ext4FinishOptions,
  type Ext4ImageWriter,
  type Ext4Summary,
} from './writer.js';
