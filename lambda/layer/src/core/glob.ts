/**
 * Globs: `*` stands for any run of characters, all else for itself. Patterns come from outside: matching takes at most
 * pattern length times text length steps, whatever the pattern.
 */

/** Whether the pattern covers the whole text; backtracks only to the latest star, so it never explodes. */
export function globMatches(pattern: string, text: string): boolean {
	let at = 0;
	let star = -1;
	let retry = 0;
	let i = 0;
	while (i < text.length) {
		if (pattern[at] === "*") {
			star = at;
			at += 1;
			retry = i;
		} else if (at < pattern.length && pattern[at] === text[i]) {
			at += 1;
			i += 1;
		} else if (star >= 0) {
			retry += 1;
			i = retry;
			at = star + 1;
		} else {
			return false;
		}
	}
	while (pattern[at] === "*") at += 1;
	return at === pattern.length;
}

/** The same, for a pattern that is asked often: the plain shapes need no search. */
export function compileGlob(pattern: string): (text: string) => boolean {
	const star = pattern.indexOf("*");
	if (star < 0) return (text) => text === pattern;
	if (star === pattern.length - 1) {
		const head = pattern.slice(0, -1);
		return head === "" ? () => true : (text) => text.startsWith(head);
	}
	if (star === 0 && pattern.lastIndexOf("*") === 0) {
		const tail = pattern.slice(1);
		return (text) => text.endsWith(tail);
	}
	const head = pattern.slice(0, star);
	return (text) => text.startsWith(head) && globMatches(pattern, text);
}
