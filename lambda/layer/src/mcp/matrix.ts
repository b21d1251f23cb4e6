/**
 * Which notification can reach which MCP client, by method, protocol era and address: one table, for the receipts of
 * what was sent and for the documentation. Client streams of one's own carry everything that they were opened for.
 * Sources: MCP 2025-11-25, basic/transports and server; MCP 2026-07-28, basic/utilities/subscriptions.
 */
import type { ChannelKind } from "../core/channel.ts";
import { CHANGE_METHODS } from "../core/message.ts";

/** The 2025 era: 2024-11-05 to 2025-11-25, with sessions. */
export const ERAS = ["2025", "2026-07-28"] as const;
export type Era = (typeof ERAS)[number];

/** As `to()` spells them; `all` stands for `tenant` and `everyTenant` too. */
export const ADDRESSES = ["session", "principal", "all", "topic"] as const;
export type AddressKind = (typeof ADDRESSES)[number];

export interface Row {
	/** Empty for every method that no other row names. */
	readonly methods: readonly string[];
	readonly reaches: Readonly<Record<Era, readonly AddressKind[]>>;
	/** On which condition a client hears it, where there is one. */
	readonly when?: string;
}

const { resource_updated: UPDATED, ...LISTS } = CHANGE_METHODS;
/** Who has a stream in the 2025 era; nobody there, and no listen, follows a topic. */
const STREAMS = ["session", "principal", "all"] as const;
/** A listen belongs to a user, not to a session. */
const LISTENS = ["principal", "all"] as const;

export const MATRIX: readonly Row[] = [
	{
		methods: Object.values(LISTS),
		reaches: { "2025": STREAMS, "2026-07-28": LISTENS },
		when: "2026-07-28: the listen asks for this list",
	},
	{
		methods: [UPDATED],
		reaches: { "2025": STREAMS, "2026-07-28": LISTENS },
		when: "the client subscribed to this URI, or its listen names it",
	},
	{
		methods: ["notifications/message"],
		reaches: { "2025": STREAMS, "2026-07-28": [] },
		when: "its level is not below the one that the client set, if it did",
	},
	{
		methods: ["notifications/progress", "notifications/cancelled", "notifications/elicitation/complete"],
		reaches: { "2025": ["session"], "2026-07-28": [] },
		when: "it names a request or an elicitation of that session",
	},
	{
		methods: ["notifications/initialized", "notifications/roots/list_changed"],
		reaches: { "2025": [], "2026-07-28": [] },
		when: "clients say this, servers do not",
	},
	{ methods: [], reaches: { "2025": STREAMS, "2026-07-28": [] } },
];

type Answers = Readonly<Record<AddressKind, readonly Era[]>>;

/** Made once: a receipt asks for each message. */
function answersOf({ reaches }: Row): Answers {
	const missing = (address: AddressKind) => Object.freeze(ERAS.filter((era) => !reaches[era].includes(address)));
	return { session: missing("session"), principal: missing("principal"), all: missing("all"), topic: missing("topic") };
}

const OTHER = answersOf(MATRIX.at(-1) as Row);
const BY_METHOD: ReadonlyMap<string | undefined, Answers> = new Map(
	MATRIX.flatMap((row) => {
		const answers = answersOf(row);
		return row.methods.map((method) => [method, answers] as const);
	}),
);
const NONE: readonly Era[] = Object.freeze([]);

/** The eras whose clients the protocol has no way to bring this to; the same array for the same question. */
export function undeliverable(kind: ChannelKind, method: string | undefined): readonly Era[] {
	// What goes to one process, or along one call's stream, is the session machinery's own.
	if (kind === "instance" || kind === "post") return NONE;
	return (BY_METHOD.get(method) ?? OTHER)[kind];
}
