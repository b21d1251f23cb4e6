import type { Construct } from "constructs";
import type { EmulatorOptions, EnvironmentConfig } from "../config/environment.ts";
import { DeliveryStack } from "../stacks/delivery.ts";
import { MeshStack } from "../stacks/mesh.ts";
import { ObservabilityStack } from "../stacks/observability.ts";
import { StateStack } from "../stacks/state.ts";

export interface CellStacks {
	readonly region: string;
	readonly state: StateStack;
	readonly delivery: DeliveryStack;
	readonly mesh: MeshStack;
	readonly observability: ObservabilityStack;
}

export interface EnvironmentOptions {
	/** Set when the target is an emulator. */
	readonly emulator?: EmulatorOptions;
	/** Another text than at the last deployment has the streams of replicas looked up again. */
	readonly lookUp?: string;
	/** Where the layer's built package lies. @default resolved as a dependency */
	readonly layerPackage?: string;
}

/**
 * All stacks of one environment, in every region, with the order in which they must stand: the primary's state (it makes the
 * replicas), each region's state, each region's delivery, then the mesh, whose subscriptions need every region's queue.
 */
export function createEnvironmentStacks(
	scope: Construct,
	config: EnvironmentConfig,
	options: EnvironmentOptions = {},
): readonly CellStacks[] {
	const cells = config.regions.map((region) => {
		const props = { config, region, ...options };
		const state = new StateStack(scope, props);
		const delivery = new DeliveryStack(scope, { ...props, state });
		const mesh = new MeshStack(scope, { ...props, topic: delivery.messaging.topic });
		const observability = new ObservabilityStack(scope, { ...props, state, delivery });
		return { region, state, delivery, mesh, observability };
	});
	const primary = cells.find((cell) => cell.region === config.primaryRegion);
	for (const { state, delivery, mesh, observability } of cells) {
		if (primary !== undefined && state !== primary.state) state.addStackDependency(primary.state);
		delivery.addStackDependency(state);
		for (const other of cells) mesh.addStackDependency(other.delivery);
		observability.addStackDependency(mesh);
	}
	return cells;
}
