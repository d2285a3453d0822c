/**
 * The folder tree is the architecture: rows of docs/architecture.md, lowest first.
 * A folder may import rows above its own in this list, never a neighbour in its row,
 * and another folder only through its index.ts.
 */
const ROWS = [
  ['errors'],
  ['bytes', 'shape'],
  ['subprocess'],
  ['fsx', 'oci', 'tar', 'zstd', 'ext4', 'protocol', 'patch'],
  ['blobs', 'registry', 'layers', 'agent', 'vmm', 'network', 'config', 'listen', 'mcp-clients', 'hostfs'],
  ['rootfs', 'kernels', 'disks'],
  ['environments'],
  ['sandboxes'],
  ['contract'],
  ['sdk'],
  ['daemon', 'mcp'],
  ['cli'],
];
const source = { pathNot: '\\.(?:test|fixture)\\.ts$' };
const direction = ROWS.flatMap((row, depth) =>
  row.map((folder) => ({
    name: `direction-${folder}`,
    severity: 'error',
    from: { path: `^src/${folder}/`, ...source },
    to: {
      path: '^src/[^/]+/',
      pathNot: [folder, ...ROWS.slice(0, depth).flat()].map((allowed) => `^src/${allowed}/`),
    },
  })),
);

module.exports = {
  forbidden: [
    ...direction,
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'only-through-index',
      severity: 'error',
      from: { path: '^src/([^/]+)/', ...source },
      to: { path: '^src/([^/]+)/', pathNot: ['^src/$1/', '^src/[^/]+/index\\.ts$'] },
    },
    {
      name: 'pure-formats-touch-no-host',
      severity: 'error',
      from: { path: '^src/(bytes|shape|oci|tar|zstd|protocol|patch)/', ...source },
      to: { path: '^(node:)?(fs|fs/promises|net|http|https|child_process|process|os)$' },
    },
    {
      name: 'only-these-spawn',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/(subprocess|vmm|daemon|cli/bench)/', '\\.test\\.ts$'] },
      to: { path: '^(node:)?child_process$' },
    },
    {
      name: 'no-dev-dependency-at-run-time',
      severity: 'error',
      from: { path: '^src/', ...source },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['npm'] },
    },
  ],
  options: {
    tsConfig: { fileName: `${__dirname}/tsconfig.json` },
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'types'],
    },
  },
};
