// The official JavaScript SDKs straight at the scripted providers: proves that the scripts speak the vendors'
// shapes.

import Anthropic from "@anthropic-ai/sdk";
import { after, before } from "node:test";
import OpenAI from "openai";

import { anthropicSuite } from "./anthropic_suite.mjs";
import { startTestkit } from "./harness.mjs";
import { openaiSuite } from "./openai_suite.mjs";

let testkit;
let openai;
let anthropic;

before(async () => {
  testkit = await startTestkit();
  openai = new OpenAI({ baseURL: testkit.openai, apiKey: "test-openai", maxRetries: 0 });
  anthropic = new Anthropic({ baseURL: testkit.anthropic, apiKey: "test-anthropic", maxRetries: 0 });
});
after(() => testkit.stop());

openaiSuite("openai SDK, scripted provider", null, () => ({ client: openai, prefix: "", testkit }));
anthropicSuite("anthropic SDK, scripted provider", null, () => ({ client: anthropic, prefix: "", testkit }));
