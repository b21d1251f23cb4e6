/**
 * Who hears the changes of one channel in this process, indexed by what they asked for: a change of one resource wakes
 * its own listeners and nobody else, however many listen. URIs match exactly, as the protocol says.
 */
import { type Change, LIST_KINDS, type ListKind } from "./change.ts";

export interface Ear {
	/** Neither blocks nor throws. */
	hear(change: Change): void;
	/** Something before this point was lost. */
	missed(): void;
}

export interface Filter {
	readonly kinds: readonly ListKind[];
	readonly uris: readonly string[];
}

export class Audience {
	readonly #everything = new Set<Ear>();
	readonly #kinds = new Map<ListKind, Set<Ear>>(LIST_KINDS.map((kind) => [kind, new Set<Ear>()]));
	/** One ear is kept as itself: a set for each of ten thousand resources would weigh more than their listens. */
	readonly #uris = new Map<string, Ear | Set<Ear>>();

	/** Without a filter the ear hears everything. */
	add(ear: Ear, filter: Filter | undefined): void {
		if (filter === undefined) {
			this.#everything.add(ear);
			return;
		}
		for (const kind of filter.kinds) this.#kinds.get(kind)?.add(ear);
		for (const uri of filter.uris) {
			const there = this.#uris.get(uri);
			if (there === undefined) this.#uris.set(uri, ear);
			else if (there instanceof Set) there.add(ear);
			else if (there !== ear) this.#uris.set(uri, new Set([there, ear]));
		}
	}

	/** Takes the filter that the ear was added with. */
	remove(ear: Ear, filter: Filter | undefined): void {
		if (filter === undefined) {
			this.#everything.delete(ear);
			return;
		}
		for (const kind of filter.kinds) this.#kinds.get(kind)?.delete(ear);
		for (const uri of filter.uris) {
			const there = this.#uris.get(uri);
			if (there === ear) this.#uris.delete(uri);
			else if (there instanceof Set && there.delete(ear) && there.size === 0) this.#uris.delete(uri);
		}
	}

	tell(change: Change): void {
		const { event } = change;
		if (this.#everything.size > 0) for (const ear of this.#everything) ear.hear(change);
		const asked = event.kind === "resource_updated" ? this.#uris.get(event.uri) : this.#kinds.get(event.kind);
		if (asked instanceof Set) for (const ear of asked) ear.hear(change);
		else asked?.hear(change);
	}

	/** Everyone, once, however much they asked for. */
	missed(): void {
		const told = new Set(this.#everything);
		for (const ears of this.#kinds.values()) for (const ear of ears) told.add(ear);
		for (const ears of this.#uris.values()) {
			if (ears instanceof Set) for (const ear of ears) told.add(ear);
			else told.add(ears);
		}
		for (const ear of told) ear.missed();
	}
}
