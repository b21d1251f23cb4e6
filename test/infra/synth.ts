/** Synthesises an environment once per test file, without bundling and with a stand-in for the layer's built package. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { App, type Stack } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { afterAll } from "vitest";
import type { EmulatorOptions, EnvironmentConfig } from "../../lib/config/environment.ts";
import { environmentConfig } from "../../lib/config/environments.ts";
import {
	type CellStacks,
	createEnvironmentStacks,
	type EnvironmentOptions,
} from "../../lib/stages/environment-stacks.ts";

export const ACCOUNT = "123456789012";

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };
export type Fields = { readonly [key: string]: Json };

export interface CfnResource {
	readonly stack: string;
	readonly id: string;
	readonly type: string;
	readonly properties: Fields;
	readonly all: Fields;
}

export interface Synthesised {
	readonly app: App;
	readonly cells: readonly CellStacks[];
	readonly stacks: readonly Stack[];
	template(stack: Stack): Template;
	/** Resources of one type, of all stacks or of one. */
	resources(type: string, stack?: Stack): readonly CfnResource[];
}

/** No esbuild: what the templates say does not depend on what is in the bundles. */
const CONTEXT = { ...cdkContext(), "aws:cdk:bundling-stacks": [] };

const made: string[] = [];

afterAll(() => {
	for (const directory of made) rmSync(directory, { recursive: true, force: true });
});

/** A directory that is gone after the test file. */
export function scratch(prefix: string): string {
	const directory = mkdtempSync(join(tmpdir(), prefix));
	made.push(directory);
	return directory;
}

/** What `cdk` itself would hand to the app. */
function cdkContext(): Readonly<Record<string, unknown>> {
	const text = readFileSync(join(import.meta.dirname, "../../cdk.json"), "utf8");
	return (JSON.parse(text) as { readonly context: Readonly<Record<string, unknown>> }).context;
}

export function createTestApp(): App {
	return new App({ outdir: scratch("fanout-synth-"), context: CONTEXT });
}

export function layerPackage(): string {
	const directory = scratch("fanout-package-");
	mkdirSync(join(directory, "dist"));
	writeFileSync(join(directory, "package.json"), '{"name":"mcp-fanout","version":"0.0.0"}');
	writeFileSync(join(directory, "dist", "index.js"), "export {};\n");
	return directory;
}

const synthesised = new Map<string, Synthesised>();

export function synthesise(name: string, emulator?: EmulatorOptions): Synthesised {
	const key = JSON.stringify([name, emulator]);
	const found = synthesised.get(key) ?? createSynthesised(name, emulator);
	synthesised.set(key, found);
	return found;
}

function createSynthesised(name: string, emulator: EmulatorOptions | undefined): Synthesised {
	const app = createTestApp();
	const config = { ...environmentConfig(name), account: ACCOUNT };
	const options = { layerPackage: layerPackage(), ...(emulator === undefined ? {} : { emulator }) };
	return readApp(app, createEnvironmentStacks(app, config, options));
}

/** An environment of the caller's own making. */
export function synthesiseConfig(config: EnvironmentConfig, options: EnvironmentOptions = {}): Synthesised {
	const app = createTestApp();
	return readApp(app, createEnvironmentStacks(app, config, { layerPackage: layerPackage(), ...options }));
}

function readApp(app: App, cells: readonly CellStacks[]): Synthesised {
	const stacks: readonly Stack[] = cells.flatMap(({ state, delivery, mesh, observability }) => [
		state,
		delivery,
		mesh,
		observability,
	]);
	const known = new Map<Stack, Template>();
	const template = (stack: Stack): Template => {
		const found = known.get(stack) ?? Template.fromStack(stack);
		known.set(stack, found);
		return found;
	};
	const resources = (type: string, only?: Stack): readonly CfnResource[] =>
		(only === undefined ? stacks : [only]).flatMap((stack) => {
			const all = (template(stack).toJSON().Resources ?? {}) as { readonly [id: string]: Fields };
			return Object.entries(all)
				.filter(([, resource]) => resource.Type === type)
				.map(([id, resource]) => ({
					stack: stack.stackName,
					id,
					type,
					properties: (resource.Properties ?? {}) as Fields,
					all: resource,
				}));
		});
	return { app, cells, stacks, template, resources };
}

/** A field below a field, or undefined. */
export function at(value: Json | undefined, ...path: readonly (string | number)[]): Json | undefined {
	return path.reduce<Json | undefined>(
		(current, key) =>
			typeof current === "object" && current !== null ? (current as { readonly [key: string]: Json })[key] : undefined,
		value,
	);
}

/** A list, or an empty one; a single value is a list of one, as in IAM documents. */
export function list(value: Json | undefined): readonly Json[] {
	if (value === undefined) return [];
	return Array.isArray(value) ? value : [value as Json];
}
