// The OpenAI expectations, one set for every way to reach the script: straight, or through Tollgate to a
// provider of either dialect.

import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { describe, test } from "node:test";
import { z } from "zod";

import { SHORT_TEXT, THINKING_TEXT, tag } from "./harness.mjs";

const HELLO = [{ role: "user", content: "Say hello to the testkit." }];
const WEATHER = {
  type: "function",
  function: {
    name: "get_weather",
    parameters: {
      type: "object",
      properties: { location: { type: "string" }, days: { type: "integer" } },
      required: ["location", "days"],
    },
  },
};
const CLOCK = {
  type: "function",
  function: { name: "get_time", parameters: { type: "object", properties: { zone: { type: "string" } }, required: ["zone"] } },
};
const NO_ARGUMENTS = { type: "function", function: { name: "list_files", parameters: { type: "object", properties: {} } } };
const City = z.object({ name: z.string(), population: z.number().int(), tags: z.array(z.string()) });

/** One chat answer, streamed or not, folded alike. */
async function ask(client, model, streamed, extra = {}) {
  const request = { model, messages: HELLO, ...extra };
  if (!streamed) {
    const answer = await client.chat.completions.create(request);
    return { ...answer.choices[0].message, finish: answer.choices[0].finish_reason, usage: answer.usage };
  }
  const stream = await client.chat.completions.create({ ...request, stream: true, stream_options: { include_usage: true } });
  const folded = { content: "", reasoning_content: "", refusal: "", tool_calls: [], finish: null, usage: null };
  for await (const chunk of stream) {
    folded.usage = chunk.usage ?? folded.usage;
    for (const { delta, finish_reason } of chunk.choices) {
      folded.content += delta.content ?? "";
      folded.reasoning_content += delta.reasoning_content ?? "";
      folded.refusal += delta.refusal ?? "";
      for (const call of delta.tool_calls ?? []) {
        const slot = (folded.tool_calls[call.index] ??= { id: call.id, type: "function", function: { name: "", arguments: "" } });
        slot.function.name += call.function?.name ?? "";
        slot.function.arguments += call.function?.arguments ?? "";
      }
      folded.finish = finish_reason ?? folded.finish;
    }
  }
  return folded;
}

const argumentsOf = (answer) => answer.tool_calls.map((call) => JSON.parse(call.function.arguments));

/**
 * `reach` gives `{ client, prefix, through, testkit }` once the servers run; `provider` is "oai" or "ant", or
 * null for the script itself.
 */
export function openaiSuite(title, provider, reach) {
  const direct = provider === null;
  const it = (name, body) => test(name, () => body(reach()));

  describe(title, () => {
    for (const streamed of [false, true]) {
      const way = streamed ? "streamed" : "whole";

      it(`text with usage, ${way}`, async ({ client, prefix }) => {
        const answer = await ask(client, `${prefix}text`, streamed);
        assert.equal(answer.content, SHORT_TEXT);
        assert.equal(answer.finish, "stop");
        assert.deepEqual([answer.usage.prompt_tokens, answer.usage.completion_tokens], [5, 13]);
      });

      it(`one tool call, ${way}`, async ({ client, prefix }) => {
        const answer = await ask(client, `${prefix}tool`, streamed, { tools: [WEATHER, CLOCK] });
        assert.deepEqual(argumentsOf(answer), [{ location: "Paris", days: 7 }]);
        assert.equal(answer.finish, "tool_calls");
      });

      it(`parallel tool calls, ${way}`, async ({ client, prefix }) => {
        const answer = await ask(client, `${prefix}parallel-tools`, streamed, { tools: [WEATHER, CLOCK] });
        assert.deepEqual(argumentsOf(answer), [{ location: "Paris", days: 7 }, { zone: "Paris" }]);
      });

      it(`tool without arguments, ${way}`, async ({ client, prefix }) => {
        assert.deepEqual(argumentsOf(await ask(client, `${prefix}tool-no-args`, streamed, { tools: [NO_ARGUMENTS] })), [{}]);
      });

      it(`thinking shows as reasoning_content, ${way}`, async ({ client, prefix }) => {
        const answer = await ask(client, `${prefix}thinking`, streamed);
        assert.deepEqual([answer.reasoning_content, answer.content], [THINKING_TEXT, SHORT_TEXT]);
        assert.equal(answer.usage.completion_tokens_details.reasoning_tokens, 14);
      });

      it(`cached usage, ${way}`, async ({ client, prefix }) => {
        const { usage } = await ask(client, `${prefix}cached`, streamed);
        assert.deepEqual([usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens_details.cached_tokens], [1250, 40, 1000]);
      });

      for (const [base, finish] of [["max-tokens", "length"], ["stop-sequence", "stop"], ["content-filter", "content_filter"]]) {
        it(`finish ${finish}, ${way}`, async ({ client, prefix }) => {
          assert.equal((await ask(client, `${prefix}${base}`, streamed)).finish, finish);
        });
      }

      it(`refusal, ${way}`, async ({ client, prefix }) => {
        const answer = await ask(client, `${prefix}refusal`, streamed);
        assert.equal(answer.refusal, "I cannot help with that.");
        assert.equal(answer.finish, provider === "ant" ? "content_filter" : "stop");
      });
    }

    for (const base of ["tool", "parallel-tools"]) {
      it(`two-step loop: ${base}`, async ({ client, prefix }) => {
        const first = await client.chat.completions.create({ model: `${prefix}${base}`, messages: HELLO, tools: [WEATHER, CLOCK] });
        const { role, content, tool_calls } = first.choices[0].message;
        const results = tool_calls.map((call, index) => ({ role: "tool", tool_call_id: call.id, content: `22 degrees (${index})` }));
        const messages = [...HELLO, { role, content, tool_calls }, ...results];
        const second = await client.chat.completions.create({ model: `${prefix}${base}`, messages, tools: [WEATHER, CLOCK] });
        const expected = results.map((result) => result.content).join(" | ");
        assert.equal(second.choices[0].message.content, `The tool said: ${expected}`);
      });
    }

    it("parsed structured output", async ({ client, prefix }) => {
      const response_format = zodResponseFormat(City, "city");
      const answer = await client.chat.completions.parse({ model: `${prefix}json`, messages: HELLO, response_format });
      assert.deepEqual(answer.choices[0].message.parsed, { name: "Paris", population: 7, tags: ["Paris"] });
    });

    const errors = {
      e400: [OpenAI.BadRequestError, 400],
      "e400-context": [OpenAI.BadRequestError, 400],
      e401: direct ? [OpenAI.AuthenticationError, 401] : [OpenAI.InternalServerError, 502],
      e403: direct ? [OpenAI.PermissionDeniedError, 403] : [OpenAI.InternalServerError, 502],
      e404: [OpenAI.NotFoundError, 404],
      e429: [OpenAI.RateLimitError, 429],
      // A provider's 500 may be told from one of Tollgate's own by 502.
      e500: [OpenAI.InternalServerError, ...(direct ? [500] : [500, 502])],
      e503: [OpenAI.InternalServerError, 503],
      e529: [OpenAI.InternalServerError, direct ? 529 : 503],
    };
    for (const [base, [error, ...statuses]] of Object.entries(errors)) {
      it(`typed exception: ${base}`, async ({ client, prefix }) => {
        await assert.rejects(ask(client, `${prefix}${base}`, false), (caught) => {
          assert.ok(caught instanceof error, `${caught}`);
          assert.ok(statuses.includes(caught.status), `${caught}`);
          if (base === "e400-context") assert.equal(caught.code, "context_length_exceeded");
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
        assert.equal((await ask(retrying, `${prefix}${model}`, false)).content, SHORT_TEXT);
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
      const stream = await client.chat.completions.create({ model: `${prefix}${model}`, messages: HELLO, stream: true });
      for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break;
      assert.equal((await testkit.ended(model)).end, "client_closed");
    });

    it("wrong key", async ({ client, prefix }) => {
      await assert.rejects(ask(client.withOptions({ apiKey: "sk-wrong" }), `${prefix}text`, false), OpenAI.AuthenticationError);
    });
  });
}

/** What the built-in model owes an OpenAI client. */
export function openaiDemoSuite(reach) {
  const question = { messages: [{ role: "user", content: "What is Tollgate?" }], temperature: 0 };
  describe("openai SDK, built-in model", () => {
    for (const streamed of [false, true]) {
      test(`answers, ${streamed ? "streamed" : "whole"}`, async () => {
        const answer = await ask(reach().client, "tollgate-demo", streamed, question);
        assert.ok(answer.content.trim().length > 0);
        assert.equal(answer.finish, "stop");
        assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
      });
      test(`honours the output cap, ${streamed ? "streamed" : "whole"}`, async () => {
        const answer = await ask(reach().client, "tollgate-demo", streamed, { ...question, max_completion_tokens: 3 });
        assert.deepEqual([answer.finish, answer.usage.completion_tokens], ["length", 3]);
      });
    }
    test("is in the model list", async () => {
      const ids = [];
      for await (const model of reach().client.models.list()) ids.push(model.id);
      assert.ok(ids.includes("tollgate-demo"));
    });
  });
}
