// What aimock answers, by what a message has in it. It says where it listens, and ends with its input.
import { LLMock } from "@copilotkit/aimock";

const text = "Credits are granted to wallets, and each that moved is an event.";
const used = (read, written) => ({
  usage: {
    prompt_tokens: read, completion_tokens: written,
    input_tokens: read, output_tokens: written,
    promptTokenCount: read, candidatesTokenCount: written,
  },
});
const says = { content: text, ...used(11, 7) };

const mock = new LLMock({ port: 0, chunkSize: 8 });
mock.onMessage("plainly", says);
mock.onMessage("for nothing", { content: text, ...used(0, 0) });
mock.onMessage("at length", { ...says, finishReason: "length" });
mock.onMessage("until filtered", { ...says, finishReason: "content_filter" });
mock.onMessage("with thoughts", { ...says, reasoning: "Let me think about wallets." });
mock.onMessage("late", says, { streamingProfile: { ttft: 400, tps: 1000 } });
mock.onMessage("slowly", says, { latency: 40 });
mock.onMessage("truncated", says, { truncateAfterChunks: 5, latency: 5 });
mock.onMessage("disconnected", says, { disconnectAfterMs: 200, latency: 40 });
mock.onMessage("limited", { error: { message: "Slow down." }, status: 429, retryAfter: 7 });
mock.onMessage("overloaded", { error: { message: "Overloaded" }, status: 503 });
mock.onMessage("unknown key", {
  error: { message: "Incorrect API key", type: "authentication_error" }, status: 401,
});
mock.onMessage("dropped", says, { chaos: { dropRate: 1 } });
mock.onMessage("malformed", says, { chaos: { malformedRate: 1 } });
mock.onMessage("cut off", says, { chaos: { disconnectRate: 1 } });
await mock.start();
console.log(`url ${mock.url}`);
process.stdin.on("end", () => process.exit()).resume();
