/**
 * A turn of the event loop later: not a matter of time, so no clock has it. Node's own, as it was when this was loaded:
 * a test runner's fake one runs when somebody moves its time, and what waits for a turn would wait for that.
 */
export const { setImmediate: nextTurn, clearImmediate: cancelTurn } = globalThis;
