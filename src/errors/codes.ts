/**
 * What happened: an open set of stable codes, each with the kind that says what a
 * caller can do about it. A code is never renamed or reused; `test/pins` holds a copy.
 */
import type { ErrorKind } from './kinds.js';

export const ERROR_CODES = {
  // Names, arguments and configuration
  USAGE_INVALID: 'usage',
  REFERENCE_INVALID: 'usage',
  DIGEST_INVALID: 'usage',
  PLATFORM_INVALID: 'usage',
  SIZE_INVALID: 'usage',
  DURATION_INVALID: 'usage',
  NAME_INVALID: 'usage',
  CONFIG_INVALID: 'usage',

  // Registry
  REGISTRY_UNAUTHORIZED: 'denied',
  REGISTRY_DENIED: 'denied',
  MANIFEST_UNKNOWN: 'notFound',
  BLOB_UNKNOWN: 'notFound',
  PLATFORM_NOT_FOUND: 'notFound',
  REGISTRY_RATE_LIMITED: 'unavailable',
  REGISTRY_UNAVAILABLE: 'unavailable',
  REGISTRY_TIMEOUT: 'timeout',
  REGISTRY_RESPONSE_INVALID: 'integrity',
  REGISTRY_REALM_REFUSED: 'denied',
  REGISTRY_INSECURE: 'denied',
  REGISTRY_TLS_INVALID: 'denied',
  REDIRECT_REFUSED: 'denied',
  CREDENTIAL_HELPER_FAILED: 'unavailable',
  OFFLINE: 'unavailable',

  // Content
  DIGEST_MISMATCH: 'integrity',
  SIZE_MISMATCH: 'integrity',
  DIFF_ID_MISMATCH: 'integrity',
  MANIFEST_INVALID: 'integrity',
  MANIFEST_TOO_LARGE: 'limit',
  IMAGE_CONFIG_INVALID: 'integrity',
  MEDIA_TYPE_UNSUPPORTED: 'unsupported',
  LAYER_FOREIGN: 'unsupported',
  COMPRESSION_INVALID: 'integrity',
  TAR_INVALID: 'integrity',
  TAR_TRUNCATED: 'integrity',
  WHITEOUT_INVALID: 'integrity',
  PATH_ESCAPES_ROOT: 'integrity',
  HARDLINK_TARGET_MISSING: 'integrity',
  HARDLINK_TARGET_INVALID: 'integrity',
  SYMLINK_LOOP: 'integrity',
  CONTENT_TOO_LARGE: 'limit',
  ENTRIES_TOO_MANY: 'limit',

  // ext4
  FILE_TOO_LARGE: 'limit',
  NAME_TOO_LONG: 'limit',
  SYMLINK_TOO_LONG: 'limit',
  XATTR_TOO_LARGE: 'limit',
  XATTR_UNSUPPORTED: 'unsupported',
  LINKS_TOO_MANY: 'limit',
  ROOTFS_TOO_SMALL: 'limit',
  ROOTFS_DIGEST_MISMATCH: 'integrity',

  // Store and files of the host
  STORE_LOCKED: 'conflict',
  STORE_CORRUPT: 'integrity',
  STORE_INSECURE: 'denied',
  DISK_FULL: 'limit',
  FILE_UNREADABLE: 'denied',
  FILE_NOT_FOUND: 'notFound',
  PATH_TOO_LONG: 'limit',
  COPY_TARGET_CONFLICT: 'conflict',

  // Disks: templates and clones
  TEMPLATE_NOT_FOUND: 'notFound',
  TEMPLATE_CHANGED: 'conflict',
  CLONE_NOT_FOUND: 'notFound',
  CLONE_EXISTS: 'conflict',
  CLONE_ID_CONFLICT: 'conflict',
  CLONE_FORMAT_MISMATCH: 'conflict',
  CLONE_STAMP_MISMATCH: 'conflict',
  CLONE_SIZE_MISMATCH: 'conflict',
  CLONE_INVALID: 'integrity',
  CLONE_RUNG_UNAVAILABLE: 'unsupported',
  DISK_SHRINK_REFUSED: 'usage',
  DISK_FORMAT_INVALID: 'integrity',
  RESIZE_FAILED: 'unavailable',

  // Environments
  ENVIRONMENT_NOT_FOUND: 'notFound',
  ENVIRONMENT_EXISTS: 'conflict',
  ENVIRONMENT_IN_USE: 'conflict',
  ENVIRONMENT_BROKEN: 'integrity',
  ENVIRONMENT_SOURCE_UNAVAILABLE: 'unavailable',
  ARCHIVE_INVALID: 'integrity',
  LOCKFILE_INVALID: 'usage',
  LOCKFILE_MISMATCH: 'integrity',

  // Tools of the host
  TOOL_NOT_FOUND: 'unsupported',
  TOOL_FAILED: 'unavailable',
  TOOL_TIMEOUT: 'timeout',

  // Kernels
  KERNEL_NOT_FOUND: 'notFound',
  KERNEL_EXISTS: 'conflict',
  KERNEL_CORRUPT: 'integrity',
  KERNEL_INVALID: 'integrity',
  KERNEL_UNSUPPORTED: 'unsupported',
  KERNEL_SOURCE_UNAVAILABLE: 'unavailable',
  KERNEL_MODULE_MISSING: 'notFound',

  // VMMs and VMs
  VMM_NOT_FOUND: 'unsupported',
  VMM_VERSION_UNSUPPORTED: 'unsupported',
  VMM_FEATURE_UNSUPPORTED: 'unsupported',
  VMM_REQUEST_FAILED: 'unavailable',
  VMM_RESPONSE_INVALID: 'integrity',
  VMM_TIMEOUT: 'timeout',
  KVM_UNAVAILABLE: 'unsupported',
  VM_SPEC_INVALID: 'usage',
  VM_EXITED: 'unavailable',
  MEMORY_TOO_SMALL: 'usage',
  VM_SNAPSHOT_INVALID: 'integrity',
  VM_SNAPSHOT_INCOMPATIBLE: 'unsupported',
  VM_IDENTITY_UNCONFIRMED: 'unavailable',

  // Guest agent and its channel
  FRAME_TOO_LARGE: 'limit',
  AGENT_PROTOCOL_INVALID: 'integrity',
  AGENT_GENERATION_UNSUPPORTED: 'unsupported',
  AGENT_DISCONNECTED: 'unavailable',
  AGENT_TIMEOUT: 'timeout',
  AGENT_BOOT_FAILED: 'unavailable',
  AGENT_BUSY: 'limit',
  AGENT_REQUEST_FAILED: 'unavailable',
  AGENT_REQUEST_UNSUPPORTED: 'unsupported',
  EXEC_NOT_FOUND: 'notFound',
  EXEC_NOT_EXECUTABLE: 'denied',
  EXEC_USER_UNKNOWN: 'notFound',
  EXEC_CWD_INVALID: 'notFound',
  EXEC_LIMIT_INVALID: 'usage',
  EXEC_FAILED: 'unavailable',
  EXEC_UNKNOWN: 'notFound',
  EXEC_CONFLICT: 'conflict',
  GUEST_FILE_NOT_FOUND: 'notFound',
  GUEST_FILE_EXISTS: 'conflict',
  GUEST_FILE_DENIED: 'denied',
  GUEST_FILE_INVALID: 'usage',
  GUEST_DISK_FULL: 'limit',
  GUEST_CONNECT_REFUSED: 'unavailable',

  // Network: egress and published ports
  HOST_PATTERN_INVALID: 'usage',
  PORT_SPEC_INVALID: 'usage',
  PORT_IN_USE: 'conflict',
  PORT_DENIED: 'denied',
  PORT_ADDRESS_UNAVAILABLE: 'usage',
  PORT_NOT_PUBLISHED: 'notFound',

  // Sandboxes
  SANDBOX_NOT_FOUND: 'notFound',
  SANDBOX_EXISTS: 'conflict',
  SANDBOX_AMBIGUOUS: 'usage',
  SANDBOX_NOT_RUNNING: 'conflict',
  SANDBOX_STATE_CONFLICT: 'conflict',
  SANDBOX_RECORD_INVALID: 'integrity',
  SANDBOX_STOPPED: 'unavailable',
  SNAPSHOT_NOT_FOUND: 'notFound',
  SNAPSHOT_EXISTS: 'conflict',
  SNAPSHOTS_TOO_MANY: 'limit',
  EXEC_OUT_OF_MEMORY: 'limit',
  SANDBOXES_TOO_MANY: 'limit',

  // Workspaces: seeds, patches, services
  WORKSPACE_MISSING: 'conflict',
  SEED_INVALID: 'usage',
  PATCH_INVALID: 'usage',
  PATCH_CONFLICT: 'conflict',
  PATCH_TOO_LARGE: 'limit',
  SERVICE_NOT_FOUND: 'notFound',
  SERVICE_EXISTS: 'conflict',
  SERVICE_FAILED: 'unavailable',
  SERVICE_NOT_READY: 'timeout',

  // The daemon and its contract
  OPERATION_UNKNOWN: 'notFound',
  REQUEST_INVALID: 'usage',
  REQUEST_TOO_LARGE: 'limit',
  REQUESTS_TOO_MANY: 'limit',
  UPLOAD_STALLED: 'timeout',
  DAEMON_UNREACHABLE: 'unavailable',
  DAEMON_RUNNING: 'conflict',
  DAEMON_INSECURE: 'denied',
  DAEMON_VERSION_MISMATCH: 'unsupported',
  DAEMON_PROTOCOL_INVALID: 'integrity',
  DAEMON_UNAUTHORIZED: 'denied',
  DAEMON_HOST_REFUSED: 'denied',

  INTERNAL: 'internal',
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERROR_CODES;
