// The official JavaScript SDKs through Tollgate, to a provider of either dialect and to the built-in model.

import Anthropic from "@anthropic-ai/sdk";
import { after, before } from "node:test";
import OpenAI from "openai";

import { anthropicDemoSuite, anthropicSuite } from "./anthropic_suite.mjs";
import { startTestkit, startTollgate } from "./harness.mjs";
import { openaiDemoSuite, openaiSuite } from "./openai_suite.mjs";
import { operationsSuite } from "./operations_suite.mjs";

let testkit;
let tollgate;
let openai;
let anthropic;

before(async () => {
  testkit = await startTestkit();
  tollgate = await startTollgate(testkit);
  openai = new OpenAI({ baseURL: `${tollgate.url}/v1`, apiKey: tollgate.key, maxRetries: 0 });
  anthropic = new Anthropic({ baseURL: tollgate.url, apiKey: tollgate.key, maxRetries: 0 });
});
after(async () => {
  await tollgate?.stop();
  await testkit?.stop();
});

for (const [provider, name] of [["oai", "openai provider"], ["ant", "anthropic provider"]]) {
  openaiSuite(`openai SDK, ${name}`, provider, () => ({ client: openai, prefix: `${provider}/`, testkit }));
  anthropicSuite(`anthropic SDK, ${name}`, provider, () => ({ client: anthropic, prefix: `${provider}/`, testkit }));
}
operationsSuite("openai SDK, other operations", "oai", () => ({ client: openai }));
openaiDemoSuite(() => ({ client: openai }));
anthropicDemoSuite(() => ({ client: anthropic }));
