/** Every command by name, loaded only when it is typed: start-up is part of the speed that users feel. */
import type { CommandGroup } from './command.js';

export const COMMAND_GROUPS: readonly CommandGroup[] = [
  {
    title: 'Run',
    commands: [
      {
        name: 'run',
        summary: 'Run a command in a fresh microVM',
        load: async () => (await import('./commands/run.js')).run,
      },
      {
        name: 'prepare',
        summary: 'Make the next start of an environment a warm one',
        load: async () => (await import('./commands/prepare.js')).prepare,
      },
    ],
  },
  {
    title: 'Sandboxes',
    commands: [
      {
        name: 'create',
        summary: 'Make a sandbox that is kept',
        load: async () => (await import('./commands/create.js')).create,
      },
      {
        name: 'start',
        summary: 'Start sandboxes',
        load: async () => (await import('./commands/lifecycle.js')).start,
      },
      {
        name: 'exec',
        summary: 'Run a command in a sandbox',
        load: async () => (await import('./commands/exec.js')).exec,
      },
      {
        name: 'shell',
        summary: 'Open a shell in a sandbox',
        load: async () => (await import('./commands/exec.js')).shell,
      },
      {
        name: 'ps',
        summary: 'List sandboxes',
        load: async () => (await import('./commands/sandbox-read.js')).ps,
      },
      {
        name: 'logs',
        summary: 'Show a console or kept output',
        load: async () => (await import('./commands/sandbox-read.js')).logs,
      },
      {
        name: 'stats',
        summary: 'Show what sandboxes use',
        load: async () => (await import('./commands/sandbox-read.js')).stats,
      },
      {
        name: 'inspect',
        summary: 'Show everything about a sandbox',
        load: async () => (await import('./commands/sandbox-read.js')).inspect,
      },
      {
        name: 'summary',
        summary: 'Tell what happened since the last reset',
        load: async () => (await import('./commands/summary.js')).summary,
      },
      {
        name: 'port',
        summary: 'List published ports',
        load: async () => (await import('./commands/sandbox-read.js')).port,
      },
      {
        name: 'update',
        summary: 'Change name, labels and limits',
        load: async () => (await import('./commands/update.js')).update,
      },
      {
        name: 'pause',
        summary: 'Let processors stand still',
        load: async () => (await import('./commands/lifecycle.js')).pause,
      },
      {
        name: 'resume',
        summary: 'Let paused sandboxes go on',
        load: async () => (await import('./commands/lifecycle.js')).resume,
      },
      {
        name: 'stop',
        summary: 'Shut sandboxes down',
        load: async () => (await import('./commands/lifecycle.js')).stop,
      },
      {
        name: 'kill',
        summary: 'End sandboxes at once',
        load: async () => (await import('./commands/lifecycle.js')).kill,
      },
      {
        name: 'rm',
        summary: 'Remove sandboxes',
        load: async () => (await import('./commands/lifecycle.js')).rm,
      },
    ],
  },
  {
    title: 'State',
    commands: [
      {
        name: 'reset',
        summary: 'Give sandboxes back their first disks',
        load: async () => (await import('./commands/lifecycle.js')).reset,
      },
      {
        name: 'snapshot create',
        summary: 'Save a sandbox under a name',
        load: async () => (await import('./commands/snapshot.js')).snapshotCreate,
      },
      {
        name: 'snapshot list',
        summary: 'List snapshots',
        load: async () => (await import('./commands/snapshot.js')).snapshotList,
      },
      {
        name: 'snapshot rm',
        summary: 'Remove snapshots',
        load: async () => (await import('./commands/snapshot.js')).snapshotRm,
      },
      {
        name: 'restore',
        summary: 'Take a sandbox back to a snapshot',
        load: async () => (await import('./commands/snapshot.js')).restore,
      },
      {
        name: 'fork',
        summary: 'Copy a sandbox as it runs',
        load: async () => (await import('./commands/snapshot.js')).fork,
      },
    ],
  },
  {
    title: 'Files of sandboxes',
    commands: [
      {
        name: 'diff',
        summary: 'Show which files a sandbox has changed',
        load: async () => (await import('./commands/diff.js')).diff,
      },
      {
        name: 'export',
        summary: 'Save the files of a sandbox as a tar archive',
        load: async () => (await import('./commands/disk-files.js')).exportTar,
      },
      {
        name: 'cp',
        summary: 'Copy files into a sandbox or out of it',
        load: async () => (await import('./commands/cp.js')).cp,
      },
      {
        name: 'file list',
        summary: 'List files of a running sandbox',
        load: async () => (await import('./commands/file.js')).fileList,
      },
      {
        name: 'file read',
        summary: 'Print a file of a running sandbox',
        load: async () => (await import('./commands/file.js')).fileRead,
      },
      {
        name: 'file write',
        summary: 'Put a file into a running sandbox',
        load: async () => (await import('./commands/file.js')).fileWrite,
      },
    ],
  },
  {
    title: 'Workspaces',
    commands: [
      {
        name: 'workspace diff',
        summary: 'Show what changed since the seed, as a patch',
        load: async () => (await import('./commands/workspace.js')).workspaceDiff,
      },
      {
        name: 'workspace push',
        summary: 'Put a directory or archive into a workspace',
        load: async () => (await import('./commands/workspace.js')).workspacePush,
      },
      {
        name: 'workspace reset',
        summary: 'Make a workspace what it was when it was seeded',
        load: async () => (await import('./commands/workspace.js')).workspaceReset,
      },
      {
        name: 'patch apply',
        summary: 'Apply a patch to a workspace, all of it or nothing',
        load: async () => (await import('./commands/workspace.js')).patchApply,
      },
      {
        name: 'service start',
        summary: 'Start a service and wait until it is ready',
        load: async () => (await import('./commands/service.js')).serviceStart,
      },
      {
        name: 'service list',
        summary: 'List the services of a sandbox',
        load: async () => (await import('./commands/service.js')).serviceList,
      },
      {
        name: 'service status',
        summary: 'Show how a service is',
        load: async () => (await import('./commands/service.js')).serviceStatus,
      },
      {
        name: 'service logs',
        summary: 'Show what a service wrote',
        load: async () => (await import('./commands/service.js')).serviceLogs,
      },
      {
        name: 'service stop',
        summary: 'Stop a service',
        load: async () => (await import('./commands/service.js')).serviceStop,
      },
      {
        name: 'shell open',
        summary: 'Open a shell that stays open between calls',
        load: async () => (await import('./commands/shell.js')).shellOpen,
      },
      {
        name: 'shell list',
        summary: 'List the open shells of a sandbox',
        load: async () => (await import('./commands/shell.js')).shellList,
      },
      {
        name: 'shell read',
        summary: 'Print what a shell wrote',
        load: async () => (await import('./commands/shell.js')).shellRead,
      },
      {
        name: 'shell write',
        summary: 'Type a line into a shell',
        load: async () => (await import('./commands/shell.js')).shellWrite,
      },
      {
        name: 'shell signal',
        summary: 'Interrupt what runs in a shell',
        load: async () => (await import('./commands/shell.js')).shellSignal,
      },
      {
        name: 'shell close',
        summary: 'Close a shell',
        load: async () => (await import('./commands/shell.js')).shellClose,
      },
    ],
  },
  {
    title: 'Environments',
    commands: [
      {
        name: 'env list',
        summary: 'List environments',
        load: async () => (await import('./commands/env-read.js')).envList,
      },
      {
        name: 'env pull',
        summary: 'Make an environment or an image bootable',
        load: async () => (await import('./commands/env-write.js')).envPull,
      },
      {
        name: 'env inspect',
        summary: 'Show everything about an environment',
        load: async () => (await import('./commands/env-read.js')).envInspect,
      },
      {
        name: 'env verify',
        summary: 'Hash environments against their manifests',
        load: async () => (await import('./commands/env-read.js')).envVerify,
      },
      {
        name: 'env register',
        summary: 'Make an ext4 image of your own an environment',
        load: async () => (await import('./commands/env-write.js')).envRegister,
      },
      {
        name: 'env lock',
        summary: 'Write down exactly what is installed',
        load: async () => (await import('./commands/env-read.js')).envLock,
      },
      {
        name: 'env prune',
        summary: 'Remove partial, damaged and outdated environments',
        load: async () => (await import('./commands/env-write.js')).envPrune,
      },
      {
        name: 'env rm',
        summary: 'Remove environments',
        load: async () => (await import('./commands/env-write.js')).envRm,
      },
    ],
  },
  {
    title: 'Kernels',
    commands: [
      {
        name: 'kernel list',
        summary: 'List kernels',
        load: async () => (await import('./commands/kernel.js')).kernelList,
      },
      {
        name: 'kernel pull',
        summary: 'Fetch a kernel by name',
        load: async () => (await import('./commands/kernel.js')).kernelPull,
      },
      {
        name: 'kernel import',
        summary: 'Make a kernel on disk bootable',
        load: async () => (await import('./commands/kernel.js')).kernelImport,
      },
      {
        name: 'kernel inspect',
        summary: 'Show everything about a kernel',
        load: async () => (await import('./commands/kernel.js')).kernelInspect,
      },
      {
        name: 'kernel rm',
        summary: 'Remove kernels',
        load: async () => (await import('./commands/kernel.js')).kernelRm,
      },
    ],
  },
  {
    title: 'Building blocks',
    commands: [
      {
        name: 'rootfs build',
        summary: 'Turn an image into an ext4 file',
        load: async () => (await import('./commands/rootfs.js')).rootfsBuild,
      },
      {
        name: 'rootfs verify',
        summary: 'Check an ext4 file against its digest',
        load: async () => (await import('./commands/rootfs.js')).rootfsVerify,
      },
      {
        name: 'disk list',
        summary: 'List files on the disk of a sandbox',
        load: async () => (await import('./commands/disk-files.js')).diskList,
      },
      {
        name: 'disk read',
        summary: 'Print a file on the disk of a sandbox',
        load: async () => (await import('./commands/disk-files.js')).diskRead,
      },
      {
        name: 'disk export',
        summary: 'Save the disk of a sandbox as an image',
        load: async () => (await import('./commands/disk-files.js')).diskExport,
      },
      {
        name: 'disk templates',
        summary: 'List what disks can be cloned from',
        load: async () => (await import('./commands/disk.js')).diskTemplates,
      },
      {
        name: 'disk clone',
        summary: 'Give a VM its own copy of a template',
        load: async () => (await import('./commands/disk.js')).diskClone,
      },
      {
        name: 'disk resize',
        summary: "Grow a VM's disk",
        load: async () => (await import('./commands/disk.js')).diskResize,
      },
      {
        name: 'disk inspect',
        summary: "Show everything about VMs' disks",
        load: async () => (await import('./commands/disk.js')).diskInspect,
      },
      {
        name: 'disk release',
        summary: "Remove VMs' disks",
        load: async () => (await import('./commands/disk.js')).diskRelease,
      },
      {
        name: 'cache df',
        summary: 'Show what is kept on disk, and why',
        load: async () => (await import('./commands/cache.js')).cacheDf,
      },
      {
        name: 'cache prune',
        summary: 'Remove what can be had again',
        load: async () => (await import('./commands/cache.js')).cachePrune,
      },
    ],
  },
  {
    title: 'Host',
    commands: [
      {
        name: 'doctor',
        summary: 'Check whether this machine is ready',
        load: async () => (await import('./commands/doctor.js')).doctor,
      },
      {
        name: 'serve',
        summary: 'Run the daemon in the foreground',
        load: async () => (await import('./commands/serve.js')).serve,
      },
      {
        name: 'pool',
        summary: 'List the VMs that wait for commands',
        load: async () => (await import('./commands/pool.js')).pool,
      },
      {
        name: 'mcp',
        summary: 'Serve tools to a coding agent',
        load: async () => (await import('./commands/mcp.js')).mcp,
      },
      {
        name: 'mcp install',
        summary: 'Give a coding agent the tools',
        load: async () => (await import('./commands/mcp-clients.js')).mcpInstall,
      },
      {
        name: 'mcp print-config',
        summary: 'Show the entry for a configuration',
        load: async () => (await import('./commands/mcp-clients.js')).mcpPrintConfig,
      },
      {
        name: 'mcp doctor',
        summary: 'Check the entries of coding agents',
        load: async () => (await import('./commands/mcp-clients.js')).mcpDoctor,
      },
      {
        name: 'bench',
        summary: 'Measure how long starts take here',
        load: async () => (await import('./commands/bench.js')).bench,
      },
      {
        name: 'completion',
        summary: 'Print a completion script for a shell',
        load: async () => (await import('./commands/completion.js')).completion,
      },
      {
        name: 'version',
        summary: 'Show the version of hearth',
        load: async () => (await import('./commands/version.js')).version,
      },
    ],
  },
];

/** Typed by programs, not by people: in no list and no help. */
export const HIDDEN_COMMANDS: CommandGroup = {
  title: 'Hidden',
  commands: [
    {
      name: '__complete',
      summary: 'Print what the words on a command line could go on with',
      load: async () => (await import('./commands/complete.js')).complete,
    },
  ],
};
