/** One server of the Model Context Protocol over hearth's tools; the transport is its caller's. */
import { type CallToolResult, McpServer, type ServerContext } from '@modelcontextprotocol/server';
import type { Backend } from './backend.js';
import type { CallTracker } from './call-tracker.js';
import { describedSchema } from './described-schema.js';
import { errorResult } from './errors.js';
import { instructionsOf } from './instructions.js';
import { ProgressReporter } from './progress-reporter.js';
import type { Tool } from './tool.js';
import { toolNamesOf } from './tool-names.js';
import { toolsOf } from './tools/index.js';
import type { View } from './view.js';

export interface McpServerParts {
  readonly view: View;
  readonly backend: Backend;
  readonly calls: CallTracker;
  /** Of this program. */
  readonly version: string;
}

export function createMcpServer(parts: McpServerParts): McpServer {
  const { view, version } = parts;
  const server = new McpServer(
    { name: 'hearth', title: 'hearth microVMs', version },
    { instructions: instructionsOf(view), capabilities: { tools: { listChanged: false } } },
  );
  for (const tool of toolsOf(view)) {
    server.registerTool(
      tool.name,
      {
        title: tool.title,
        description: tool.description(view),
        annotations: tool.annotations,
        inputSchema: describedSchema(tool.inputSchema(view)),
        outputSchema: describedSchema(tool.outputSchema),
      },
      async (args, context) => await callTool(tool, args, context, parts),
    );
  }
  return server;
}

async function callTool(
  tool: Tool,
  args: unknown,
  { mcpReq, http }: ServerContext,
  { view, backend, calls }: McpServerParts,
): Promise<CallToolResult> {
  const progress = new ProgressReporter(mcpReq._meta?.progressToken, mcpReq.notify);
  try {
    // Over HTTP, a client that hangs up could not be given the result: its call ends as one that is cancelled.
    const gone = http?.req?.signal;
    const caller = gone === undefined ? mcpReq.signal : AbortSignal.any([mcpReq.signal, gone]);
    const { structured, text } = await calls.run(caller, async (signal) => {
      return await tool.execute(args, {
        view,
        backend,
        service: await backend.service(signal),
        signal,
        progress: (event) => progress.report(event),
      });
    });
    return { content: [{ type: 'text', text }], structuredContent: structured };
  } catch (error) {
    const names = toolNamesOf(view);
    return errorResult(error, (name) => names.includes(name));
  }
}
