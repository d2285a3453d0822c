export type { Collected, CollectOptions } from './collect.js';
export { type LayoutImageOptions, openLayoutImage } from './layout-image.js';
export { type LocalBlobStore, openBlobStore, type StoreUsage } from './store.js';
