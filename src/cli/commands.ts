/** Every command by name, loaded only when it is typed: start-up is part of the speed that users feel. */
import type { Command, CommandEntry, CommandGroup } from './command.js';

const runModule = () => import('./commands/run.js');
const prepareModule = () => import('./commands/prepare.js');
const createModule = () => import('./commands/create.js');
const lifecycleModule = () => import('./commands/lifecycle.js');
const execModule = () => import('./commands/exec.js');
const sandboxReadModule = () => import('./commands/sandbox-read.js');
const summaryModule = () => import('./commands/summary.js');
const updateModule = () => import('./commands/update.js');
const snapshotModule = () => import('./commands/snapshot.js');
const diffModule = () => import('./commands/diff.js');
const diskFilesModule = () => import('./commands/disk-files.js');
const cpModule = () => import('./commands/cp.js');
const fileModule = () => import('./commands/file.js');
const workspaceModule = () => import('./commands/workspace.js');
const serviceModule = () => import('./commands/service.js');
const shellModule = () => import('./commands/shell.js');
const envReadModule = () => import('./commands/env-read.js');
const envWriteModule = () => import('./commands/env-write.js');
const kernelModule = () => import('./commands/kernel.js');
const rootfsModule = () => import('./commands/rootfs.js');
const diskModule = () => import('./commands/disk.js');
const cacheModule = () => import('./commands/cache.js');
const doctorModule = () => import('./commands/doctor.js');
const serveModule = () => import('./commands/serve.js');
const poolModule = () => import('./commands/pool.js');
const mcpModule = () => import('./commands/mcp.js');
const mcpClientsModule = () => import('./commands/mcp-clients.js');
const benchModule = () => import('./commands/bench.js');
const completionModule = () => import('./commands/completion.js');
const versionModule = () => import('./commands/version.js');
const completeModule = () => import('./commands/complete.js');

export const COMMAND_GROUPS: readonly CommandGroup[] = [
  {
    title: 'Run',
    commands: [
      entry('run', 'Run a command in a fresh microVM', runModule, 'run'),
      entry('prepare', 'Make the next start of an environment a warm one', prepareModule, 'prepare'),
    ],
  },
  {
    title: 'Sandboxes',
    commands: [
      entry('create', 'Make a sandbox that is kept', createModule, 'create'),
      entry('start', 'Start sandboxes', lifecycleModule, 'start'),
      entry('exec', 'Run a command in a sandbox', execModule, 'exec'),
      entry('shell', 'Open a shell in a sandbox', execModule, 'shell'),
      entry('ps', 'List sandboxes', sandboxReadModule, 'ps'),
      entry('logs', 'Show a console or kept output', sandboxReadModule, 'logs'),
      entry('stats', 'Show what sandboxes use', sandboxReadModule, 'stats'),
      entry('inspect', 'Show everything about a sandbox', sandboxReadModule, 'inspect'),
      entry('summary', 'Tell what happened since the last reset', summaryModule, 'summary'),
      entry('port', 'List published ports', sandboxReadModule, 'port'),
      entry('update', 'Change name, labels and limits', updateModule, 'update'),
      entry('pause', 'Let processors stand still', lifecycleModule, 'pause'),
      entry('resume', 'Let paused sandboxes go on', lifecycleModule, 'resume'),
      entry('stop', 'Shut sandboxes down', lifecycleModule, 'stop'),
      entry('kill', 'End sandboxes at once', lifecycleModule, 'kill'),
      entry('rm', 'Remove sandboxes', lifecycleModule, 'rm'),
    ],
  },
  {
    title: 'State',
    commands: [
      entry('reset', 'Give sandboxes back their first disks', lifecycleModule, 'reset'),
      entry('snapshot create', 'Save a sandbox under a name', snapshotModule, 'snapshotCreate'),
      entry('snapshot list', 'List snapshots', snapshotModule, 'snapshotList'),
      entry('snapshot rm', 'Remove snapshots', snapshotModule, 'snapshotRm'),
      entry('restore', 'Take a sandbox back to a snapshot', snapshotModule, 'restore'),
      entry('fork', 'Copy a sandbox as it runs', snapshotModule, 'fork'),
    ],
  },
  {
    title: 'Files of sandboxes',
    commands: [
      entry('diff', 'Show which files a sandbox has changed', diffModule, 'diff'),
      entry('export', 'Save the files of a sandbox as a tar archive', diskFilesModule, 'exportTar'),
      entry('cp', 'Copy files into a sandbox or out of it', cpModule, 'cp'),
      entry('file list', 'List files of a running sandbox', fileModule, 'fileList'),
      entry('file read', 'Print a file of a running sandbox', fileModule, 'fileRead'),
      entry('file write', 'Put a file into a running sandbox', fileModule, 'fileWrite'),
    ],
  },
  {
    title: 'Workspaces',
    commands: [
      entry(
        'workspace diff',
        'Show what changed since the seed, as a patch',
        workspaceModule,
        'workspaceDiff',
      ),
      entry(
        'workspace push',
        'Put a directory or archive into a workspace',
        workspaceModule,
        'workspacePush',
      ),
      entry(
        'workspace reset',
        'Make a workspace what it was when it was seeded',
        workspaceModule,
        'workspaceReset',
      ),
      entry(
        'patch apply',
        'Apply a patch to a workspace, all of it or nothing',
        workspaceModule,
        'patchApply',
      ),
      entry('service start', 'Start a service and wait until it is ready', serviceModule, 'serviceStart'),
      entry('service list', 'List the services of a sandbox', serviceModule, 'serviceList'),
      entry('service status', 'Show how a service is', serviceModule, 'serviceStatus'),
      entry('service logs', 'Show what a service wrote', serviceModule, 'serviceLogs'),
      entry('service stop', 'Stop a service', serviceModule, 'serviceStop'),
      entry('shell open', 'Open a shell that stays open between calls', shellModule, 'shellOpen'),
      entry('shell list', 'List the open shells of a sandbox', shellModule, 'shellList'),
      entry('shell read', 'Print what a shell wrote', shellModule, 'shellRead'),
      entry('shell write', 'Type a line into a shell', shellModule, 'shellWrite'),
      entry('shell signal', 'Interrupt what runs in a shell', shellModule, 'shellSignal'),
      entry('shell close', 'Close a shell', shellModule, 'shellClose'),
    ],
  },
  {
    title: 'Environments',
    commands: [
      entry('env list', 'List environments', envReadModule, 'envList'),
      entry('env pull', 'Make an environment or an image bootable', envWriteModule, 'envPull'),
      entry('env inspect', 'Show everything about an environment', envReadModule, 'envInspect'),
      entry('env verify', 'Hash environments against their manifests', envReadModule, 'envVerify'),
      entry('env register', 'Make an ext4 image of your own an environment', envWriteModule, 'envRegister'),
      entry('env lock', 'Write down exactly what is installed', envReadModule, 'envLock'),
      entry('env prune', 'Remove partial, damaged and outdated environments', envWriteModule, 'envPrune'),
      entry('env rm', 'Remove environments', envWriteModule, 'envRm'),
    ],
  },
  {
    title: 'Kernels',
    commands: [
      entry('kernel list', 'List kernels', kernelModule, 'kernelList'),
      entry('kernel pull', 'Fetch a kernel by name', kernelModule, 'kernelPull'),
      entry('kernel import', 'Make a kernel on disk bootable', kernelModule, 'kernelImport'),
      entry('kernel inspect', 'Show everything about a kernel', kernelModule, 'kernelInspect'),
      entry('kernel rm', 'Remove kernels', kernelModule, 'kernelRm'),
    ],
  },
  {
    title: 'Building blocks',
    commands: [
      entry('rootfs build', 'Turn an image into an ext4 file', rootfsModule, 'rootfsBuild'),
      entry('rootfs verify', 'Check an ext4 file against its digest', rootfsModule, 'rootfsVerify'),
      entry('disk list', 'List files on the disk of a sandbox', diskFilesModule, 'diskList'),
      entry('disk read', 'Print a file on the disk of a sandbox', diskFilesModule, 'diskRead'),
      entry('disk export', 'Save the disk of a sandbox as an image', diskFilesModule, 'diskExport'),
      entry('disk templates', 'List what disks can be cloned from', diskModule, 'diskTemplates'),
      entry('disk clone', 'Give a VM its own copy of a template', diskModule, 'diskClone'),
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
      entry('cache df', 'Show what is kept on disk, and why', cacheModule, 'cacheDf'),
      entry('cache prune', 'Remove what can be had again', cacheModule, 'cachePrune'),
    ],
  },
  {
    title: 'Host',
    commands: [
      entry('doctor', 'Check whether this machine is ready', doctorModule, 'doctor'),
      entry('serve', 'Run the daemon in the foreground', serveModule, 'serve'),
      entry('pool', 'List the VMs that wait for commands', poolModule, 'pool'),
      entry('mcp', 'Serve tools to a coding agent', mcpModule, 'mcp'),
      entry('mcp install', 'Give a coding agent the tools', mcpClientsModule, 'mcpInstall'),
      entry('mcp print-config', 'Show the entry for a configuration', mcpClientsModule, 'mcpPrintConfig'),
      entry('mcp doctor', 'Check the entries of coding agents', mcpClientsModule, 'mcpDoctor'),
      entry('bench', 'Measure how long starts take here', benchModule, 'bench'),
      entry('completion', 'Print a completion script for a shell', completionModule, 'completion'),
      entry('version', 'Show the version of hearth', versionModule, 'version'),
    ],
  },
];

/** Typed by programs, not by people: in no list and no help. */
export const HIDDEN_COMMANDS: CommandGroup = {
  title: 'Hidden',
  commands: [
    entry(
      '__complete',
      'Print what the words on a command line could go on with',
      completeModule,
      'complete',
    ),
  ],
};

/** The command that a module exports under a name. */
function entry<Export extends string>(
  name: string,
  summary: string,
  loadModule: () => Promise<Readonly<Record<Export, Command>>>,
  exported: Export,
): CommandEntry {
  return { name, summary, load: async () => (await loadModule())[exported] };
}
