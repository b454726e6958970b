// Runs the official JavaScript SDKs for a program that has no JavaScript: one JSON object a line in, one out.
//
//   {"sdk":"openai","method":"chat.completions.create","arguments":[{…}],"stream":true}
//   {"value":…} | {"events":[…]} | {"failure":{"kind":"RateLimitError","status":429,"events":[…]}}

import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { createInterface } from "node:readline";

const [url, apiKey] = [process.env.TOLLGATE_URL, process.env.TOLLGATE_KEY];
const clients = {
  openai: new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 }),
  anthropic: new Anthropic({ baseURL: url, apiKey, maxRetries: 0 }),
};

async function run({ sdk, method, arguments: args, stream }) {
  const events = [];
  try {
    const path = method.split(".");
    const name = path.pop();
    const resource = path.reduce((at, part) => at[part], clients[sdk]);
    const answer = await resource[name](...args);
    if (!stream) return { value: answer };
    for await (const event of answer) events.push(event);
    return { events };
  } catch (error) {
    return { failure: { kind: error.constructor.name, status: error.status ?? null, text: String(error), events } };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(await run(JSON.parse(line))) + "\n");
}
