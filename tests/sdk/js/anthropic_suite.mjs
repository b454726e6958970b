// The Anthropic expectations, one set for every way to reach the script: straight, or through Tollgate to a
// provider of either dialect.

import Anthropic from "@anthropic-ai/sdk";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";

import { SHORT_TEXT, THINKING_TEXT, tag } from "./harness.mjs";

const HELLO = [{ role: "user", content: "Say hello to the testkit." }];
const WEATHER = {
  name: "get_weather",
  input_schema: {
    type: "object",
    properties: { location: { type: "string" }, days: { type: "integer" } },
    required: ["location", "days"],
  },
};
const CLOCK = { name: "get_time", input_schema: { type: "object", properties: { zone: { type: "string" } }, required: ["zone"] } };
const NO_ARGUMENTS = { name: "list_files", input_schema: { type: "object", properties: {} } };
const City = z.object({ name: z.string(), population: z.number().int(), tags: z.array(z.string()) });

/** One message, streamed or not. */
const ask = (client, model, streamed, extra = {}) => {
  const request = { model, max_tokens: 1024, messages: HELLO, ...extra };
  return streamed ? client.messages.stream(request).finalMessage() : client.messages.create(request);
};
const text = (message) => message.content.filter((block) => block.type === "text").map((block) => block.text).join("");
const calls = (message) => message.content.filter((block) => block.type === "tool_use");
const replay = (message) =>
  message.content.map(({ type, text, thinking, signature, id, name, input }) =>
    JSON.parse(JSON.stringify({ type, text, thinking, signature, id, name, input })),
  );

/** See `openaiSuite`. */
export function anthropicSuite(title, provider, reach) {
  const direct = provider === null;
  const it = (name, body) => test(name, () => body(reach()));

  describe(title, () => {
    for (const streamed of [false, true]) {
      const way = streamed ? "streamed" : "whole";

      it(`text with usage, ${way}`, async ({ client, prefix }) => {
        const message = await ask(client, `${prefix}text`, streamed);
        assert.deepEqual([text(message), message.stop_reason], [SHORT_TEXT, "end_turn"]);
        assert.deepEqual([message.usage.input_tokens, message.usage.output_tokens], [5, 13]);
      });

      it(`one tool call, ${way}`, async ({ client, prefix }) => {
        const message = await ask(client, `${prefix}tool`, streamed, { tools: [WEATHER, CLOCK] });
        assert.deepEqual(calls(message).map((call) => call.input), [{ location: "Paris", days: 7 }]);
        assert.equal(message.stop_reason, "tool_use");
      });

      it(`parallel tool calls, ${way}`, async ({ client, prefix }) => {
        const message = await ask(client, `${prefix}parallel-tools`, streamed, { tools: [WEATHER, CLOCK] });
        assert.deepEqual(calls(message).map((call) => call.input), [{ location: "Paris", days: 7 }, { zone: "Paris" }]);
      });

      it(`tool without arguments, ${way}`, async ({ client, prefix }) => {
        const message = await ask(client, `${prefix}tool-no-args`, streamed, { tools: [NO_ARGUMENTS] });
        assert.deepEqual(calls(message).map((call) => call.input), [{}]);
      });

      for (const base of ["tool", "parallel-tools", "thinking-tool"]) {
        it(`two-step loop: ${base}, ${way}`, async ({ client, prefix }) => {
          const extra = { tools: [WEATHER, CLOCK], system: "Use the tools." };
          const first = await ask(client, `${prefix}${base}`, streamed, extra);
          const results = calls(first).map((call, index) => ({
            type: "tool_result",
            tool_use_id: call.id,
            content: `22 degrees (${index})`,
          }));
          const messages = [...HELLO, { role: "assistant", content: replay(first) }, { role: "user", content: results }];
          const second = await ask(client, `${prefix}${base}`, streamed, { ...extra, messages });
          assert.equal(text(second), `The tool said: ${results.map((result) => result.content).join(" | ")}`);
        });
      }

      it(`thinking comes first, ${way}`, async ({ client, prefix }) => {
        const [thinking, answer] = (await ask(client, `${prefix}thinking`, streamed)).content;
        assert.deepEqual([thinking.type, thinking.thinking, answer.text], ["thinking", THINKING_TEXT, SHORT_TEXT]);
        // Only the provider that thought can sign: a signature is never made up.
        assert.equal(Boolean(thinking.signature), provider !== "oai");
      });

      it(`cached usage, ${way}`, async ({ client, prefix }) => {
        const { usage } = await ask(client, `${prefix}cached`, streamed);
        const buckets = [usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens, usage.output_tokens];
        assert.deepEqual(buckets, [20, 1000, 230, 40]);
      });

      for (const [base, reason] of [
        ["max-tokens", "max_tokens"],
        ["refusal", "refusal"],
        ["stop-sequence", provider === "oai" ? "end_turn" : "stop_sequence"],
      ]) {
        it(`stop reason ${reason}, ${way}`, async ({ client, prefix }) => {
          assert.equal((await ask(client, `${prefix}${base}`, streamed, { stop_sequences: ["END"] })).stop_reason, reason);
        });
      }
    }

    it("parsed structured output", async ({ client, prefix }) => {
      const output_config = { format: zodOutputFormat(City) };
      const message = await client.messages.parse({ model: `${prefix}json`, max_tokens: 1024, messages: HELLO, output_config });
      assert.deepEqual(message.parsed_output, { name: "Paris", population: 7, tags: ["Paris"] });
    });

    const errors = {
      e400: [Anthropic.BadRequestError, 400, "invalid_request_error"],
      e401: direct ? [Anthropic.AuthenticationError, 401, "authentication_error"] : [Anthropic.InternalServerError, 502, "api_error"],
      e404: [Anthropic.NotFoundError, 404, "not_found_error"],
      e429: [Anthropic.RateLimitError, 429, "rate_limit_error"],
      // A provider's 500 may be told from one of Tollgate's own by 502.
      e500: [Anthropic.InternalServerError, direct ? [500] : [500, 502], "api_error"],
      e503: direct ? [Anthropic.InternalServerError, 503, "api_error"] : [Anthropic.InternalServerError, 529, "overloaded_error"],
      e529: [Anthropic.InternalServerError, 529, "overloaded_error"],
    };
    for (const [base, [error, status, kind]] of Object.entries(errors)) {
      it(`typed exception: ${base}`, async ({ client, prefix }) => {
        await assert.rejects(ask(client, `${prefix}${base}`, false), (caught) => {
          assert.ok(caught instanceof error, `${caught}`);
          assert.ok([status].flat().includes(caught.status), `${caught}`);
          assert.equal(caught.error.error.type, kind);
          return true;
        });
      });
    }

    for (const base of ["e429-once", "e500-once", "e529-once"]) {
      it(`retried: ${base}`, async ({ client, prefix, testkit }) => {
        const model = `${base}:${tag()}`;
        // Straight at the script the SDK retries; behind Tollgate it need not. Tollgate's retries are limited to
        // about a tenth of the calls: be healthy first.
        for (let call = 0; call < 25 && !direct; call++) await ask(client, `${prefix}size:1`, false);
        const retrying = client.withOptions({ maxRetries: direct ? 2 : 0 });
        assert.equal(text(await ask(retrying, `${prefix}${model}`, false)), SHORT_TEXT);
        assert.equal(await testkit.attempts(model), 2);
      });
    }

    for (const base of ["cut-mid-text", "cut-mid-tool", "cut-at:900", "error-mid-stream"]) {
      it(`broken stream throws: ${base}`, async ({ client, prefix }) => {
        await assert.rejects(ask(client, `${prefix}${base}`, true));
      });
    }

    it("leaving ends the upstream attempt", async ({ client, prefix, testkit }) => {
      const model = `hang-mid-stream:${tag()}`;
      const stream = await client.messages.create({ model: `${prefix}${model}`, max_tokens: 64, messages: HELLO, stream: true });
      for await (const event of stream) if (event.type === "content_block_delta") break;
      assert.equal((await testkit.ended(model)).end, "client_closed");
    });

    it("wrong key", async ({ client, prefix }) => {
      await assert.rejects(ask(client.withOptions({ apiKey: "sk-wrong" }), `${prefix}text`, false), Anthropic.AuthenticationError);
    });
  });
}

/** What the built-in model owes an Anthropic client. */
export function anthropicDemoSuite(reach) {
  const question = { messages: [{ role: "user", content: "What is Tollgate?" }] };
  describe("anthropic SDK, built-in model", () => {
    for (const streamed of [false, true]) {
      test(`answers, ${streamed ? "streamed" : "whole"}`, async () => {
        const message = await ask(reach().client, "tollgate-demo", streamed, question);
        assert.ok(text(message).trim().length > 0);
        assert.ok(message.usage.input_tokens > 0 && message.usage.output_tokens > 0);
      });
      test(`honours the output cap, ${streamed ? "streamed" : "whole"}`, async () => {
        const message = await ask(reach().client, "tollgate-demo", streamed, { ...question, max_tokens: 3 });
        assert.deepEqual([message.stop_reason, message.usage.output_tokens], ["max_tokens", 3]);
      });
    }
  });
}
