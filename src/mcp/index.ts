export { type Backend, type BackendOptions, createBackend } from './backend.js';
export { type ServeHttpOptions, serveOverHttp } from './http/serve-http.js';
export { findProject, type ProjectSource } from './project-source.js';
export { type ServeStdioOptions, serveOverStdio } from './serve-stdio.js';
export { toolNamesOf } from './tool-names.js';
export { DEFAULT_PINS, MODES, type Mode, type Pins, PROFILES, type Profile, type View } from './view.js';
