/** The authorizer decides about every handshake and throws about none. */
import { describe, expect, it } from "vitest";
import { systemClock } from "../../../../../lambda/layer/src/core/clock.ts";
import { authorize } from "../../../../../lambda/layer/src/transports/aws/cell/authorize.ts";
import { createTicketKey, issueTicket, parseClaims } from "../../../../../lambda/layer/src/transports/aws/ticket.ts";

const key = createTicketKey("s");
const reports: unknown[] = [];
const ports = {
	namespace: "default",
	clock: systemClock,
	report: (...report: unknown[]) => void reports.push(report),
	key: async () => key,
};
const arn = "arn:aws:execute-api:us-east-1:1:api/live/$connect";
const issue = () =>
	issueTicket(key, { namespace: "default", tenant: "t", principal: "u", channels: [], ttlSeconds: 60 }, systemClock);
const effectOf = async (headers: Record<string, string> | null, more = {}) =>
	(await authorize({ ...ports, ...more }, headers, arn)).policyDocument.Statement[0];

describe("authorize", () => {
	it.each(["Sec-WebSocket-Protocol", "sec-websocket-protocol"])(
		"allows a ticket in %s, with its claims",
		async (name) => {
			const policy = await authorize(ports, { [name]: `mcp-fanout, ticket.${await issue()}` }, arn);
			expect(policy.policyDocument.Statement).toEqual([
				{ Action: "execute-api:Invoke", Effect: "Allow", Resource: arn },
			]);
			expect(policy.principalId).toBe("u");
			expect(parseClaims(policy.context?.claims)).toMatchObject({ principal: "u", tenant: "t" });
		},
	);

	it("allows a ticket as a bearer token, for requests that can set headers", async () => {
		const policy = await authorize(ports, { Authorization: `Bearer ${await issue()}` }, arn);
		expect(parseClaims(policy.context?.claims)).toMatchObject({ principal: "u", tenant: "t" });
	});

	it("denies no headers, no ticket, a bad one, and another namespace's", async () => {
		const ticket = await issue();
		for (const headers of [
			null,
			{},
			{ "sec-websocket-protocol": "mcp-fanout, ticket.x.y.z" },
			{ authorization: ticket },
			{ authorization: "Bearer x.y.z" },
			{ authorization: `Basic ${ticket}` },
		]) {
			expect(await effectOf(headers)).toMatchObject({ Effect: "Deny", Resource: arn });
		}
		const good = { "sec-websocket-protocol": `mcp-fanout, ticket.${ticket}` };
		expect(await effectOf(good, { namespace: "other" })).toMatchObject({ Effect: "Deny" });
	});

	it("denies when the key cannot be had, and reports no content", async () => {
		const ticket = await issue();
		const headers = { "sec-websocket-protocol": `mcp-fanout, ticket.${ticket}` };
		expect(await effectOf(headers, { key: () => Promise.reject(new Error("down")) })).toMatchObject({ Effect: "Deny" });
		expect(JSON.stringify(reports)).not.toContain(ticket);
	});
});
