/**
 * For the tests of whoever uses mcp-fanout: a whole fanout in memory that writes down what was accepted, and the
 * clock, broker and transport that our own tests use. A fleet in one process is two fanouts over one `FakeBroker`.
 */
export { FakeBroker, type Faults, NO_FAULTS } from "./fake-broker.ts";
export { createFakeClock, type FakeClock } from "./fake-clock.ts";
export { createFakeTransport, type FakeTransportOptions } from "./fake-transport.ts";
export { createTestFanout, type Published, type TestFanout, type TestFanoutOptions } from "./test-fanout.ts";
