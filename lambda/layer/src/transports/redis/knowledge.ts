/**
 * What this instance knows of a partition: the newest offset of each epoch that it was ever shown, by an answer or by
 * what was published to it. Every script is told; one that finds a known write gone closes the epoch as lossy. Bounded:
 * an answer settles what it was told, so only epochs that are still in question stay.
 */
const MOST = 4;

export interface Knowledge {
	/** As scripts take it. */
	tell(): string;
	/** The newest offset, where no other epoch is in question. */
	at(epoch: string): number | undefined;
	/** Something was seen at this position. */
	saw(epoch: string, offset: number): void;
	/** The server answered, having been told `told`. */
	answered(told: string, epoch: string, offset: number): void;
}

export function createKnowledge(): Knowledge {
	const known = new Map<string, number>();
	let newest = "";
	const saw = (epoch: string, offset: number) => {
		if (offset <= (known.get(epoch) ?? -1)) return;
		// Put last again: what goes over the bound is the epoch that was silent for longest.
		if (epoch !== newest) known.delete(epoch);
		newest = epoch;
		known.set(epoch, offset);
		if (known.size > MOST) known.delete(known.keys().next().value as string);
	};
	return {
		tell() {
			let text = "";
			for (const [epoch, offset] of known) text += `${text === "" ? "" : " "}${epoch}.${offset}`;
			return text;
		},
		at: (epoch) => (known.size === 1 ? known.get(epoch) : undefined),
		saw,
		answered(told, epoch, offset) {
			for (const text of known.size === 1 && known.has(epoch) ? [] : told.split(" ")) {
				const [old = "", at] = text.split(".");
				// What was learnt after the question was asked is still to be told.
				if (old !== epoch && known.get(old) === Number(at)) known.delete(old);
			}
			saw(epoch, offset);
		},
	};
}
