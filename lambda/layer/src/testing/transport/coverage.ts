/**
 * Which promises are cited by tests. A test cites by its title: `[P6]`. The check fails on a promise that nobody
 * cites and on a citation of one that does not exist, so that neither can rot.
 */
import { PROMISES } from "./promises.ts";

const CITATION = /\[(P[0-9]+)\]/g;

/** Promise ids in brackets, in titles or in the text of test files. */
export function citationsIn(text: string): string[] {
	return Array.from(text.matchAll(CITATION), ([, id]) => id as string);
}

/** One line for each promise that is not cited and each citation that is not a promise; empty when all is well. */
export function coverageProblems(
	cited: Iterable<string>,
	known: readonly { readonly id: string }[] = PROMISES,
): string[] {
	const ids = new Set(known.map(({ id }) => id));
	const citedIds = new Set(cited);
	return [
		...[...ids].filter((id) => !citedIds.has(id)).map((id) => `${id} is promised, but no test cites it`),
		...[...citedIds].filter((id) => !ids.has(id)).map((id) => `${id} is cited by a test, but is no promise`),
	];
}
