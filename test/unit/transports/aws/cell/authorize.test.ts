/** The authorizer decides about every ticket that it can read, and throws about none of them. */
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

	it("decides nothing while the key cannot be had: a denial would be final, and an error is asked again [P7]", async () => {
		const ticket = await issue();
		const down = { key: () => Promise.reject(new Error("down")) };
		for (const headers of [
			{ "sec-websocket-protocol": `mcp-fanout, ticket.${ticket}` },
			{ authorization: `Bearer ${ticket}` },
		]) {
			await expect(effectOf(headers, down)).rejects.toThrow("down");
		}
		expect(await effectOf({}, down)).toMatchObject({ Effect: "Deny" });
	});

	it("reports a refusal without the ticket", async () => {
		const ticket = await issue();
		await effectOf({ authorization: `Bearer ${ticket}` }, { namespace: "other" });
		expect(reports.length).toBeGreaterThan(0);
		expect(JSON.stringify(reports)).not.toContain(ticket);
	});
});
