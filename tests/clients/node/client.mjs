// One thing that programs do with the AI SDK; what came of it is said as one line of JSON.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, RetryError, generateText, streamText } from "ai";

let requests = 0;
const saldo = createOpenAICompatible({
  name: "saldo",
  baseURL: process.env.BASE_URL,
  apiKey: process.env.KEY,
  includeUsage: true,
  // Counts what really goes out, attempts that are made again included.
  fetch: (...request) => {
    requests += 1;
    return fetch(...request);
  },
});

const model = saldo("small");

async function whole() {
  const { text, finishReason, usage } = await generateText({ model, prompt: "hello" });
  return { text, reason: finishReason, input: usage.inputTokens, output: usage.outputTokens };
}

async function stream() {
  const answer = streamText({ model, prompt: "hello" });
  let text = "";
  for await (const more of answer.textStream) text += more;
  const [reason, usage] = [await answer.finishReason, await answer.usage];
  return { text, reason, input: usage.inputTokens, output: usage.outputTokens };
}

async function cut() {
  const failures = [];
  const answer = streamText({ model, prompt: "hello", onError: ({ error }) => failures.push(`${error?.message ?? error}`) });
  let text = "";
  for await (const part of answer.fullStream) if (part.type === "text-delta") text += part.text;
  return { text, failures, requests };
}

async function refused() {
  try {
    await generateText({ model, prompt: "hello" });
    return { requests };
  } catch (error) {
    const failure = RetryError.isInstance(error) ? error.lastError : error;
    const isCall = APICallError.isInstance(failure);
    return { status: isCall ? failure.statusCode : null, message: failure.message, requests };
  }
}

const scenarios = { whole, stream, cut, refused };
console.log(JSON.stringify(await scenarios[process.argv[2]]()));
