export { LayerMerger, type LayerMergerOptions, type MergedLayers, type MissingBodies } from './merge.js';
export { classifyEntryName, type LayerEntryName } from './whiteout.js';
