export { type RunToolOptions, runTool, type ToolResult } from './run-tool.js';
