// One task with the Vercel AI SDK: streams, runs the tool that the model calls, and prints what came as JSON.
//
//   node ai_sdk.mjs <package> <base URL> <key> <model> <what the tool answers>

import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const [, , name, url, apiKey, model, answer] = process.argv;
const models = {
  "openai-chat": () => createOpenAI({ baseURL: `${url}/v1`, apiKey }).chat(model),
  "openai-responses": () => createOpenAI({ baseURL: `${url}/v1`, apiKey })(model),
  "openai-stateless": () => createOpenAI({ baseURL: `${url}/v1`, apiKey })(model),
  anthropic: () => createAnthropic({ baseURL: `${url}/v1`, apiKey })(model),
  google: () => createGoogleGenerativeAI({ baseURL: `${url}/v1beta`, apiKey })(model),
};
const options = { "openai-stateless": { openai: { store: false } } };
globalThis.AI_SDK_LOG_WARNINGS = false;

const ran = [];
const result = streamText({
  model: models[name](),
  prompt: "What is the weather in Paris?",
  maxRetries: 0,
  stopWhen: stepCountIs(3),
  providerOptions: options[name],
  tools: {
    get_weather: tool({
      description: "Tells the weather of a place.",
      inputSchema: z.object({ location: z.string() }),
      execute: async (input) => {
        ran.push(input);
        return answer;
      },
    }),
  },
  // The loop below throws it.
  onError: () => {},
});
const parts = {};
for await (const part of result.fullStream) {
  if (part.type === "error") throw part.error;
  parts[part.type] = (parts[part.type] ?? 0) + 1;
}
console.log(
  JSON.stringify({
    ran,
    parts,
    text: await result.text,
    finish: (await result.steps).map((step) => step.finishReason),
    usage: await result.totalUsage,
  }),
);
