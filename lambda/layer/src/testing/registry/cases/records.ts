import assert from "node:assert/strict";
import { createChannel } from "../../../core/channel.ts";
import { MAX_FACTS_BYTES, MAX_STATE_BYTES, READ_RECORD_VERSION } from "../../../sessions/record.ts";
import { defineRegistryCase as define, take, throwsCode } from "../harness.ts";

/** Spelled to break out of a key, a subject, a hash tag, a script, an expression. */
const HOSTILE = [
	"a.b",
	"a.>",
	"*",
	">",
	"{x}",
	"}",
	"a/b",
	"a:b",
	"a b",
	"a%2Fb",
	"#a",
	":now",
	"a|b",
	"é\u0000\n\"'\\",
	"..",
	"-",
];

const soon = () => AbortSignal.timeout(10_000);

export const recordCases = [
	define(
		"kept-as-said",
		["P8"],
		"a record is kept as it was said, and changes by what an update names",
		async (bench) => {
			const a = await bench.instance("a");
			const session = bench.session("s");
			const facts = { protocolVersion: "2025-11-25", capabilities: { roots: {} }, list: [1, "zwei", null, true] };
			const claim = await a.registry.claim(session, a.term, { principal: "user-42", facts, state: { n: 1 } });
			assert.ok(claim.ok && claim.created);
			const read = await a.registry.get(session);
			assert.deepEqual(read, claim.record);
			assert.equal(read?.principal, "user-42");
			assert.deepEqual(read?.facts, facts);
			const updated = await a.registry.update(claim.held, { state: { n: 2, text: 'é\n"\\' } });
			assert.notEqual(updated.version, claim.record.version);
			const after = await a.registry.get(session);
			assert.deepEqual(after, updated);
			assert.deepEqual(after?.facts, facts);
			assert.deepEqual(after?.state, { n: 2, text: 'é\n"\\' });
			assert.equal(after?.createdAt, claim.record.createdAt);
		},
	),

	define(
		"made-by-nobody",
		["P8"],
		"a record may be made without an owner, once, and then be written and claimed by anybody",
		async (bench) => {
			const [a, b] = [await bench.instance("a"), await bench.instance("b")];
			const session = bench.session("s");
			const made = await a.registry.create(session, { principal: "user-42", facts: [1], state: { n: 1 } });
			assert.deepEqual(await b.registry.get(session), made);
			assert.deepEqual([made.owner, made.epoch, made.principal], [undefined, 1, "user-42"]);
			await throwsCode("Conflict", "a second making", async () => void (await b.registry.create(session)));
			const written = await b.registry.update(made, { state: { n: 2 } });
			await throwsCode("Conflict", "a stale write", async () => void (await a.registry.update(made, {})));
			const claim = await b.registry.claim(session, b.term, { principal: "user-42" });
			assert.ok(claim.ok && !claim.created);
			assert.deepEqual([claim.record.epoch, claim.record.state], [2, written.state]);
			const other = bench.session("t");
			await a.registry.remove(await a.registry.create(other));
			assert.equal(await b.registry.get(other), undefined);
		},
	),

	define(
		"changed-since-read",
		["P8"],
		"a write over a record that changed since it was read is refused",
		async (bench) => {
			const [a, b] = [await bench.instance("a"), await bench.instance("b")];
			const session = bench.session("s");
			const held = await take(a, session);
			const [one, two] = [await a.registry.get(session), await b.registry.get(session)];
			assert.ok(one && two);
			const written = await b.registry.update(two, { state: "b's" });
			await throwsCode("Conflict", "an update of what changed", () => a.registry.update(one, { state: "a's" }));
			assert.deepEqual(await a.registry.get(session), written);
			const states = ["1", "2", "3", "4", "5"];
			const all = await Promise.allSettled(states.map((state) => b.registry.update(written, { state })));
			assert.equal(all.filter(({ status }) => status === "fulfilled").length, 1, "one of five wins");
			assert.equal((await a.registry.update(held, { facts: 1 })).epoch, 1, "the owner's writes look again");
		},
	),

	define("no-aba", ["P8"], "a row that went and came back the same is another version", async (bench) => {
		const { store } = await bench.instance("a");
		const place = bench.session("s");
		const text = "{}";
		const first = await store.write(place, { version: "v1", text }, undefined, soon());
		assert.ok(first);
		assert.equal(await store.write(place, { version: "v2", text }, undefined, soon()), undefined, "there is a row");
		const read = await store.read(place, soon());
		assert.equal(read?.version, "v1");
		const second = await store.write(place, { version: "v3", text }, read, soon());
		assert.ok(second);
		assert.equal(await store.write(place, { version: "v4", text }, first, soon()), undefined, "an old version");
		assert.equal(await store.remove(place, first, soon()), false, "an old version");
		assert.equal(await store.remove(place, second, soon()), true);
		assert.equal(await store.remove(place, second, soon()), false, "no row");
		assert.equal(await store.write(place, { version: "v5", text }, second, soon()), undefined, "no row");
		const third = await store.write(place, { version: "v6", text }, undefined, soon());
		assert.ok(third);
		assert.equal(await store.write(place, { version: "v7", text }, first, soon()), undefined, "the row of before");
		assert.equal(await store.write(place, { version: "v8", text }, second, soon()), undefined, "the row of before");
		assert.equal((await store.read(place, soon()))?.version, "v6");
	}),

	define("principal", ["P5"], "a session is claimed for its own principal only", async (bench) => {
		const a = await bench.instance("a");
		const claim = (id: string, principal?: string) => a.registry.claim(bench.session(id), a.term, { principal });
		await claim("hers", "her");
		await claim("anonymous");
		await throwsCode("ScopeRequired", "another's", () => claim("hers", "him"));
		await throwsCode("ScopeRequired", "nobody's", () => claim("hers"));
		await throwsCode("ScopeRequired", "an anonymous session taken by a user", () => claim("anonymous", "him"));
		assert.ok((await claim("hers", "her")).ok);
	}),

	define("bounded", ["P6"], "what is kept is bounded, and what is refused leaves no trace", async (bench) => {
		const a = await bench.instance("a");
		const session = bench.session("s");
		const big = (bytes: number) => "x".repeat(bytes);
		const claim = (opening: object) => a.registry.claim(session, a.term, opening);
		await throwsCode("PayloadTooLarge", "facts", () => claim({ facts: big(MAX_FACTS_BYTES) }));
		await throwsCode("PayloadTooLarge", "state", () => claim({ state: big(MAX_STATE_BYTES) }));
		await throwsCode("PayloadTooLarge", "principal", () => claim({ principal: big(1_000) }));
		await throwsCode("InvalidRecord", "state", () => claim({ state: 1n }));
		assert.equal(await a.registry.get(session), undefined);
		const most = { facts: big(MAX_FACTS_BYTES - 2), state: big(MAX_STATE_BYTES - 2) };
		const full = await claim(most);
		assert.ok(full.ok);
		const { held } = full;
		await throwsCode("PayloadTooLarge", "an update", () => a.registry.update(held, { state: big(MAX_STATE_BYTES) }));
		assert.deepEqual((await a.registry.get(session))?.state, most.state);
	}),

	define("isolation", ["P5"], "no id, tenant or namespace reaches another's session", async (bench) => {
		const a = await bench.instance("a");
		for (const id of HOSTILE) await take(a, bench.session(id), id);
		for (const id of HOSTILE) assert.deepEqual((await a.registry.get(bench.session(id)))?.state, id);
		await take(a, bench.session("a", "a.b"), "a.b");
		await take(a, bench.session("b.a", "a"), "a");
		assert.equal(await a.registry.get(bench.session("a", "other")), undefined);
		assert.equal(await a.registry.count("a.b"), 1);
		// The name that means every tenant elsewhere is nobody's.
		await throwsCode("InvalidChannel", "a tenant called *", () => a.registry.list("*"));
		for (const tenant of ["**", ">", "a", "%", "a.*"]) {
			const { sessions } = await a.registry.list(tenant);
			assert.ok(sessions.every(({ session }) => session.tenant === tenant));
			assert.equal(sessions.length, tenant === "a" ? 1 : 0, tenant);
		}
		const other = await bench.instance("a", `${bench.namespace}-other`);
		const foreign = bench.session("a.b");
		await throwsCode("InvalidChannel", "another namespace's session", () => other.registry.get(foreign));
		const same = createChannel("session", "a.b", { namespace: other.registry.namespace, tenant: foreign.tenant });
		assert.equal(await other.registry.get(same), undefined);
		assert.equal(await other.registry.count(foreign.tenant), 0);
	}),

	define(
		"mixed-fleet",
		["P8"],
		"a record of the next release is read, and written without losing what it adds",
		async (bench) => {
			const a = await bench.instance("a");
			const session = bench.session("s");
			const held = await take(a, session, "now");
			const row = await a.store.read(session, soon());
			assert.ok(row);
			const rewrite = async (v: number) => {
				const found = await a.store.read(session, soon());
				const text = JSON.stringify({ ...JSON.parse(row.text), v, later: { kept: true } });
				assert.ok(await a.store.write(session, { version: `later-${v}`, text }, found, soon()));
			};
			await rewrite(READ_RECORD_VERSION);
			const record = await a.registry.update(held, { state: "then" });
			assert.equal(record.v, READ_RECORD_VERSION);
			const text = (await a.store.read(session, soon()))?.text ?? "";
			assert.deepEqual(JSON.parse(text).later, { kept: true });
			assert.equal(JSON.parse(text).v, READ_RECORD_VERSION);
			await rewrite(READ_RECORD_VERSION + 1);
			await throwsCode("UnknownRecordVersion", "two releases ahead", () => a.registry.get(session));
			await throwsCode("UnknownRecordVersion", "a claim of it", () => a.registry.claim(session, a.term));
			assert.deepEqual((await a.registry.list(session.tenant)).sessions, [], "one record hides no others");
		},
	),
];
