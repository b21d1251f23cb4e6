/** What the tests of streamify share: events, and an app whose calls and whose fanout's are kept in order. */
import type { FanoutError } from "../../../lambda/layer/src/core/errors.ts";
import { type StreamifyOptions, streamify } from "../../../lambda/layer/src/lambda/index.ts";
import { withRuntime } from "./runtime.ts";

export const event = (method: string, headers: Record<string, string> = {}) => ({
	version: "2.0",
	rawPath: "/mcp",
	headers,
	requestContext: { http: { method } },
	...(method === "POST" && { body: "{}" }),
});
export const POST = event("POST");
export const LISTEN = event("POST", { "mcp-method": "subscriptions/listen" });
export const EVENTS = event("GET", { accept: "text/event-stream" });
export const encode = (text: string) => new TextEncoder().encode(text);

export function setup(fetch: (request: Request) => Response | Promise<Response>, more: Partial<StreamifyOptions> = {}) {
	const calls: string[] = [];
	const errors: FanoutError[] = [];
	const fanout = {
		flush: async () => void calls.push("flush"),
		hold: async () => {
			calls.push("hold");
			return { release: async () => void calls.push("release") };
		},
		rest: () => void calls.push("rest"),
	};
	const app = {
		fetch: (request: Request) => {
			calls.push("fetch");
			return fetch(request);
		},
	};
	const options = { fanout, onerror: (error: FanoutError) => void errors.push(error), ...more };
	return { handler: withRuntime(() => streamify(app, options)), calls, errors };
}

/** Never ends by itself. */
export const endless = () =>
	new Response(new ReadableStream({ start: (controller) => controller.enqueue(encode("first")) }));
