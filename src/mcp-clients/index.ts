export { CLIENT_NAMES, type ClientName, type ConfigScope, clientTitle } from './clients.js';
export {
  type ClientReport,
  type ClientState,
  type InspectOptions,
  inspectClient,
  repairClient,
} from './inspect-client.js';
export { type InstallOptions, type InstallResult, installEntry, printableConfig } from './install-entry.js';
export { type Launch, type Launcher, ownProgram } from './launch.js';
