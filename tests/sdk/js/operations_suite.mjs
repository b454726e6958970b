// OpenAI's operations beside chat, through Tollgate: images, audio, moderations, files, fine-tuning, and the state
// of Responses. The Python suite looks closer; this one shows that the JavaScript SDK's uploads and streams arrive.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import OpenAI, { toFile } from "openai";

import { SHORT_TEXT, tag } from "./harness.mjs";

const PNG = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  "base64",
);
const TURN = JSON.stringify({ messages: [{ role: "user", content: "2+2" }, { role: "assistant", content: "4" }] });

export function operationsSuite(name, provider, reach) {
  describe(name, () => {
    const model = (base) => `${provider}/${base}`;
    const pixel = () => toFile(PNG, "pixel.png", { type: "image/png" });
    const training = () => toFile(Buffer.from(`${TURN}\n`.repeat(12)), "train.jsonl", { type: "application/jsonl" });

    test("images are made and edited", async () => {
      const { client } = reach();
      const made = await client.images.generate({ model: model("gpt-image-1"), prompt: "A fox" });
      const edited = await client.images.edit({ model: model("gpt-image-1"), image: await pixel(), prompt: "Red" });
      for (const answer of [made, edited]) assert.ok(answer.data[0].b64_json.length > 20);
    });

    test("sound is transcribed and spoken", async () => {
      const { client } = reach();
      const spoken = await client.audio.speech.create({ model: model("tts-1"), voice: "alloy", input: "Hello", response_format: "wav" });
      const sound = Buffer.from(await spoken.arrayBuffer());
      assert.ok(sound.length > 100);
      const file = await toFile(sound, "sound.wav", { type: "audio/wav" });
      assert.ok((await client.audio.transcriptions.create({ model: model("whisper-1"), file })).text);
    });

    test("texts are moderated", async () => {
      const answer = await reach().client.moderations.create({ model: model("omni-moderation-latest"), input: "fine" });
      assert.equal(answer.results[0].flagged, false);
    });

    test("a file comes back, trains a model, and goes", async () => {
      const { client } = reach();
      const file = await client.files.create({ file: await training(), purpose: "fine-tune" });
      assert.equal(await (await client.files.content(file.id)).text(), `${TURN}\n`.repeat(12));
      const job = await client.fineTuning.jobs.create({ model: model("gpt-4o-mini"), training_file: file.id });
      assert.equal((await client.fineTuning.jobs.cancel(job.id)).status, "cancelled");
      assert.ok((await client.files.delete(file.id)).deleted);
      await assert.rejects(client.files.retrieve(file.id), OpenAI.NotFoundError);
    });

    test("a response is kept, continued and deleted", async () => {
      const { client } = reach();
      const first = await client.responses.create({ model: model(`text:${tag()}`), input: "Hello" });
      const second = await client.responses.create({ model: model("text"), input: "More", previous_response_id: first.id });
      assert.equal(second.previous_response_id, first.id);
      assert.equal((await client.responses.retrieve(second.id)).output_text, SHORT_TEXT);
      await client.responses.delete(first.id);
      await assert.rejects(client.responses.retrieve(first.id), OpenAI.NotFoundError);
    });
  });
}
