/**
 * Numbers of the ext4 on-disk format, with the one geometry that hearth writes: 4 KiB blocks, 256-byte inodes.
 * Source: Documentation/filesystems/ext4 of Linux 6.12, "ext4 Data Structures and Algorithms".
 */

export const BLOCK_BYTES = 4096;
export const SECTORS_PER_BLOCK = BLOCK_BYTES / 512;
export const BLOCKS_PER_GROUP = 8 * BLOCK_BYTES;
export const DESCRIPTOR_BYTES = 64;
export const DESCRIPTORS_PER_BLOCK = BLOCK_BYTES / DESCRIPTOR_BYTES;
export const GROUPS_PER_FLEX_LOG = 4;
export const GROUPS_PER_FLEX = 1 << GROUPS_PER_FLEX_LOG;

export const INODE_BYTES = 256;
export const INODES_PER_BLOCK = BLOCK_BYTES / INODE_BYTES;
/** What an inode of revision 0 has; fields after it are counted by `i_extra_isize`. */
export const CLASSIC_INODE_BYTES = 128;
export const EXTRA_INODE_BYTES = 32;

export const ROOT_INODE = 2;
export const RESIZE_INODE = 7;
export const JOURNAL_INODE = 8;
export const FIRST_INODE = 11;

export const MAX_NAME_BYTES = 255;
/** Longest symlink target that lies in the inode itself. */
export const MAX_FAST_SYMLINK_BYTES = 59;
export const MAX_SYMLINK_BYTES = BLOCK_BYTES - 1;
export const MAX_LINKS = 65_000;
/** Logical block numbers have 32 bits and the last one stands for "none". */
export const MAX_FILE_BYTES = (2 ** 32 - 1) * BLOCK_BYTES;

/** The CRC register that every checksum starts with; none is inverted at the end. */
export const CHECKSUM_START = 0xffffffff;

export const FEATURE_COMPAT = { hasJournal: 0x4, extAttr: 0x8, resizeInode: 0x10, dirIndex: 0x20 } as const;
export const FEATURE_INCOMPAT = { filetype: 0x2, extents: 0x40, is64bit: 0x80, flexBg: 0x200 } as const;
export const FEATURE_RO_COMPAT = {
  sparseSuper: 0x1,
  largeFile: 0x2,
  hugeFile: 0x8,
  dirNlink: 0x20,
  extraIsize: 0x40,
  metadataCsum: 0x400,
} as const;

export const INODE_FLAG = { index: 0x1000, extents: 0x80000 } as const;
export const GROUP_FLAG = { inodeUninit: 0x1, blockUninit: 0x2, inodeZeroed: 0x4 } as const;

/** File type bits of `i_mode`. */
export const MODE_TYPE = {
  fifo: 0x1000,
  character: 0x2000,
  directory: 0x4000,
  block: 0x6000,
  file: 0x8000,
  symlink: 0xa000,
  socket: 0xc000,
} as const;

/** File types of directory entries. */
export const ENTRY_TYPE = {
  file: 1,
  directory: 2,
  character: 3,
  block: 4,
  fifo: 5,
  socket: 6,
  symlink: 7,
} as const;
