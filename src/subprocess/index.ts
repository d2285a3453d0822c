export { type RunToolOptions, runTool, type ToolResult } from './run-tool.js';
export { type StartDetachedOptions, startDetached } from './start-detached.js';
