import { expect, test } from "vitest";
import { locateKeys } from "../../../lambda/layer/src/config/file/locate.ts";

test("keys of tables, arrays of tables, inline tables and dotted keys are found on their lines", () => {
	const lines = locateKeys(`# a comment with [a.table] and key = 1
title = "a # b" # c
[a.b]
text = """
fake = 1
"quoted" """
list = [
  1, # one
  { x = 2, y = { z = [3] } },
]
'quoted key'.inner = 'its'
[[a.rows]]
name = "first"
[a.rows.more]
deep = 1
[[a.rows]]
name = "sec\\"ond" # }
`);
	expect(Object.fromEntries(lines)).toEqual({
		title: 2,
		a: 3,
		"a.b": 3,
		"a.b.text": 4,
		"a.b.list": 7,
		"a.b.list.0": 8,
		"a.b.list.1": 9,
		"a.b.list.1.x": 9,
		"a.b.list.1.y": 9,
		"a.b.list.1.y.z": 9,
		"a.b.list.1.y.z.0": 9,
		"a.b.quoted key": 11,
		"a.b.quoted key.inner": 11,
		"a.rows": 12,
		"a.rows.0": 12,
		"a.rows.0.name": 13,
		"a.rows.0.more": 14,
		"a.rows.0.more.deep": 15,
		"a.rows.1": 16,
		"a.rows.1.name": 17,
	});
});

test("it ends on any text, also on one that is no TOML", () => {
	for (const text of ["[", "[[a", 'a = """', "a = [", "a = { b", "=", '"', "a = [[[[", "\uFEFF a=1", "]", "a.=.b"]) {
		expect(locateKeys(text).size).toBeLessThan(10);
	}
});
