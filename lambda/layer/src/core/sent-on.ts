/**
 * What a session's GET is answered in the place of a refusal for now: a stream that ends. MCP clients come back from one
 * for as long as it takes, and give their GET up for good after two refusals, though the registry is away for three seconds
 * only, or another process is there. It says once more where the client was: the SDK's come back from a stream without an
 * id with none.
 */
import { hasPriming, holdsGet } from "./session-client.ts";
import { asksForStatus, REFUSE_HEADER, SSE_HEADERS, sseCursor, sseRetry } from "./sse.ts";

const DEFAULT_SECONDS = 1;

/** The answer itself where it is no such refusal. */
export function sentOn(request: Request, answer: Response): Response {
	const { headers } = request;
	if (answer.status !== 503 || !holdsGet(request) || asksForStatus(headers.get(REFUSE_HEADER))) return answer;
	const seconds = Number(answer.headers.get("retry-after") ?? DEFAULT_SECONDS);
	const cursor = headers.get("last-event-id") ?? "";
	const primes = cursor !== "" && hasPriming(headers.get("mcp-protocol-version") ?? "");
	return new Response(sseRetry(seconds * 1_000) + (primes ? sseCursor(cursor) : ""), { headers: SSE_HEADERS });
}
