/**
 * Who wrote as the owner of a session, and when: the history of ownership. A write whose claim is older than one that
 * had been answered before the write began was a stale owner's, and must have been refused; so must one of two that
 * hold the same claim.
 */
export interface Owners {
	/** Before an instance is asked to write; the returned function takes its answer, if it was accepted. */
	begin(session: string, by: string): (epoch: number) => void;
	/** Something else that a stale owner did. */
	found(detail: string): void;
	readonly writes: number;
	/** Claims of sessions after their first. */
	readonly takeovers: number;
	check(): string[];
}

interface Write {
	readonly session: string;
	readonly by: string;
	readonly begun: number;
	readonly answered: number;
	readonly epoch: number;
}

export function createOwners(): Owners {
	const writes: Write[] = [];
	const others: string[] = [];
	let at = 0;
	return {
		begin(session, by) {
			const begun = at++;
			return (epoch) => void writes.push({ session, by, begun, answered: at++, epoch });
		},
		found: (detail) => void others.push(detail),
		get writes() {
			return writes.length;
		},
		get takeovers() {
			const newest = Map.groupBy(writes, ({ session }) => session);
			return [...newest.values()].reduce((sum, all) => sum + new Set(all.map(({ epoch }) => epoch)).size - 1, 0);
		},
		check() {
			const problems = [...others];
			for (const [session, all] of Map.groupBy(writes, (write) => write.session)) {
				for (const [epoch, same] of Map.groupBy(all, (write) => write.epoch)) {
					const owners = new Set(same.map(({ by }) => by));
					if (owners.size > 1) problems.push(`${session}: claim ${epoch} is of ${[...owners].join(" and ")}`);
				}
				const answers = all.toSorted((a, b) => a.answered - b.answered);
				let newest: Write | undefined;
				let next = 0;
				for (const write of all.toSorted((a, b) => a.begun - b.begun)) {
					for (
						let answer = answers[next];
						answer !== undefined && answer.answered < write.begun;
						answer = answers[++next]
					) {
						if (newest === undefined || answer.epoch > newest.epoch) newest = answer;
					}
					if (newest !== undefined && write.epoch < newest.epoch) {
						problems.push(
							`${session}: ${write.by} wrote under claim ${write.epoch} after ${newest.by} had ${newest.epoch}`,
						);
					}
				}
			}
			return problems;
		},
	};
}
