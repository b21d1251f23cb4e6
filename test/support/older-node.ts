/**
 * Responses as Node before 24 has them: one that waits behind another on its connection (pipelined) is not told when that
 * is lost. Called in the turn in which the request came.
 */
import type { ServerResponse } from "node:http";

export function asOfOlderNode(res: ServerResponse): void {
	if (res.socket !== null) return;
	let isAssigned = false;
	const { assignSocket, emit } = res;
	res.assignSocket = (socket) => {
		isAssigned = true;
		assignSocket.call(res, socket);
	};
	res.emit = (name: string, ...told: unknown[]) =>
		name === "close" && !isAssigned ? false : emit.call(res, name, ...told);
	res.destroy = function destroy() {
		return res;
	};
}
