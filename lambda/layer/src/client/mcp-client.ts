/**
 * What `keepListening` needs of a client of the MCP SDK (v2), spelled here so that nothing of the SDK is imported, and
 * the share of its notification handlers: the SDK keeps one for each method, and several loops may run on one client.
 */
export interface ListenFilter {
	readonly toolsListChanged?: boolean | undefined;
	readonly promptsListChanged?: boolean | undefined;
	readonly resourcesListChanged?: boolean | undefined;
	readonly resourceSubscriptions?: readonly string[] | undefined;
}

export interface McpSubscription {
	readonly honoredFilter: ListenFilter;
	readonly closed: Promise<"local" | "graceful" | "remote">;
	close(): Promise<void>;
}

export interface McpClient {
	listen(
		filter: { resourceSubscriptions?: string[] } & Omit<ListenFilter, "resourceSubscriptions">,
		options: { signal: AbortSignal; timeout: number },
	): Promise<McpSubscription>;
	setNotificationHandler(
		method: "notifications/resources/updated",
		handler: (notification: { readonly params: { readonly uri: string } }) => void,
	): void;
	setNotificationHandler(method: ListMethod, handler: () => void): void;
	removeNotificationHandler(method: string): void;
}

const FLAGS = {
	tools: "toolsListChanged",
	prompts: "promptsListChanged",
	resources: "resourcesListChanged",
} as const;
const UPDATED = "notifications/resources/updated";

export type ListKind = keyof typeof FLAGS;
type ListMethod = `notifications/${ListKind}/list_changed`;
/** A resource's URI, or the list that changed. */
export type Changed =
	| { readonly kind: ListKind; readonly uri?: undefined }
	| { readonly kind: "resource"; readonly uri: string };

const KINDS = Object.keys(FLAGS) as ListKind[];
const methodOf = (kind: ListKind): ListMethod => `notifications/${kind}/list_changed`;

/** Everything that a filter names. */
export function namedBy(filter: ListenFilter): Changed[] {
	const lists = KINDS.filter((kind) => filter[FLAGS[kind]] === true).map((kind) => ({ kind }));
	const uris = new Set(filter.resourceSubscriptions ?? []);
	return [...lists, ...[...uris].map((uri) => ({ kind: "resource" as const, uri }))];
}

type Ear = (changed: Changed) => void;
const ears = new WeakMap<McpClient, Set<Ear>>();

/** Hears what the client is notified of, until the returned function is called. */
export function hear(client: McpClient, ear: Ear): () => void {
	const known = ears.get(client);
	const all = known ?? new Set<Ear>();
	all.add(ear);
	if (known === undefined) {
		ears.set(client, all);
		const tell = (changed: Changed) => {
			for (const each of all) each(changed);
		};
		for (const kind of KINDS) client.setNotificationHandler(methodOf(kind), () => tell({ kind }));
		client.setNotificationHandler(UPDATED, ({ params }) => tell({ kind: "resource", uri: params.uri }));
	}
	return () => {
		if (!all.delete(ear) || all.size > 0) return;
		ears.delete(client);
		for (const method of [...KINDS.map(methodOf), UPDATED]) client.removeNotificationHandler(method);
	};
}
