"""One class for each client dialect: how a question of the grid is asked in it, how an answer or a stream is
read, and how a turn goes back into the history. The SDK beneath is any that speaks the dialect."""

import json
from dataclasses import dataclass, field

PDF = "JVBERi0xLjQKJSBhIHBhZ2UgZm9yIHRoZSBncmlkCiUlRU9GCg=="
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PROMPT = "Say hello to the testkit."


@dataclass
class Ask:
    """A question, in no dialect."""

    model: str
    system: str | None = None
    tools: list = field(default_factory=list)
    stop: list = field(default_factory=list)
    image: str | None = None
    pdf: str | None = None
    schema: dict | None = None
    thinks: bool = False
    max_tokens: int = 4096
    # Earlier turns: an answer and what each of its calls returned, as (text, is_error).
    past: list = field(default_factory=list)


@dataclass
class Answer:
    text: str = ""
    thinking: str = ""
    refusal: str = ""
    calls: list = field(default_factory=list)
    finish: str | None = None
    usage: dict = field(default_factory=dict)
    links: list = field(default_factory=list)
    n_text_events: int = 0
    n_argument_events: int = 0
    # The turn in the dialect's own words.
    turn: object = None


def without(tree, *names):
    return {key: value for key, value in tree.items() if key not in names and value is not None}


class Dialect:
    def __init__(self, sdk):
        self.sdk = sdk

    def ask(self, ask, streamed=False):
        request = self.request(ask)
        if streamed:
            return self.fold(self.sdk.call(self.streaming, streamed=True, **request, **self.stream_switch))
        return self.read(self.sdk.call(self.method, **request))

    def call(self, method, **arguments):
        return self.sdk.call(method, **arguments)


class Chat(Dialect):
    method = streaming = "chat.completions.create"
    stream_switch = {"stream": True, "stream_options": {"include_usage": True}}
    cap = "max_completion_tokens"

    def request(self, ask):
        parts = [{"type": "text", "text": PROMPT}]
        if ask.image:
            parts.append({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{ask.image}"}})
        if ask.pdf:
            parts.append(self.document(ask.pdf))
        messages = [{"role": "system", "content": ask.system}] if ask.system else []
        messages.append({"role": "user", "content": parts if len(parts) > 1 else PROMPT})
        for answer, results in ask.past:
            messages.append(answer.turn)
            for call, (text, _) in zip(answer.calls, results):
                messages.append({"role": "tool", "tool_call_id": call["id"], "name": call["name"], "content": text})
        if ask.past and not self.names_results:
            messages = [without(message, "name") for message in messages]
        request = {"model": ask.model, "messages": messages, self.cap: ask.max_tokens}
        if ask.tools:
            request["tools"] = [{"type": "function", "function": tool} for tool in ask.tools]
        if ask.stop:
            request["stop"] = ask.stop
        if ask.schema:
            request["response_format"] = {"type": "json_schema", "json_schema": {"name": "city", "schema": ask.schema, "strict": True}}
        if ask.thinks:
            request["reasoning_effort"] = "high"
        return request

    names_results = False

    def document(self, pdf):
        return {"type": "file", "file": {"filename": "page.pdf", "file_data": f"data:application/pdf;base64,{pdf}"}}

    def read(self, body):
        choice = body["choices"][0]
        message = choice["message"]
        answer = Answer(refusal=message.get("refusal") or "", thinking=message.get("reasoning_content") or "")
        self.take(answer, message.get("content"))
        for call in message.get("tool_calls") or []:
            answer.calls.append({"id": call["id"], "name": call["function"]["name"], "arguments": call["function"]["arguments"]})
        for note in message.get("annotations") or []:
            answer.links.append(note["url_citation"]["url"])
        return self.close(answer, choice["finish_reason"], body.get("usage"))

    def take(self, answer, content):
        """Text is a string, or Mistral's list of chunks."""
        for chunk in [{"type": "text", "text": content}] if isinstance(content, str) else content or []:
            if chunk["type"] == "text":
                answer.text += chunk["text"]
            elif chunk["type"] == "thinking":
                answer.thinking += "".join(part.get("text", "") for part in chunk["thinking"])

    def fold(self, events):
        answer, calls, finish, usage = Answer(), {}, None, None
        for event in events:
            usage = event.get("usage") or usage
            for choice in event["choices"]:
                delta = choice["delta"]
                finish = choice.get("finish_reason") or finish
                answer.n_text_events += bool(delta.get("content"))
                self.take(answer, delta.get("content"))
                answer.thinking += delta.get("reasoning_content") or ""
                answer.refusal += delta.get("refusal") or ""
                for note in delta.get("annotations") or []:
                    answer.links.append(note["url_citation"]["url"])
                for call in delta.get("tool_calls") or []:
                    slot = calls.setdefault(call["index"], {"id": call.get("id"), "name": "", "arguments": ""})
                    slot["name"] += call["function"].get("name") or ""
                    slot["arguments"] += call["function"].get("arguments") or ""
                    answer.n_argument_events += bool(call["function"].get("arguments"))
        answer.calls = list(calls.values())
        return self.close(answer, finish, usage)

    def close(self, answer, finish, usage):
        calls = [
            {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}}
            for call in answer.calls
        ]
        answer.turn = without({"role": "assistant", "content": answer.text or None, "tool_calls": calls or None})
        for call in answer.calls:
            call["arguments"] = json.loads(call["arguments"])
        answer.finish = {"stop": "end", "length": "length", "tool_calls": "tool", "content_filter": "refusal"}[finish]
        if answer.refusal:
            answer.finish = "refusal"
        if usage:
            cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
            answer.usage = {"input": usage["prompt_tokens"], "output": usage["completion_tokens"], "cached": cached}
        return answer

    def embed(self, model, texts):
        answer = self.call("embeddings.create", model=model, input=texts, encoding_format="float")
        return [row["embedding"] for row in answer["data"]]


class MistralChat(Chat):
    """Mistral's SDK: OpenAI's chat with a few names of its own."""

    method, streaming = "chat.complete", "chat.stream"
    stream_switch = {}
    cap = "max_tokens"
    names_results = True

    def document(self, pdf):
        return {"type": "document_url", "document_url": f"data:application/pdf;base64,{pdf}", "document_name": "page.pdf"}

    def embed(self, model, texts):
        return [row["embedding"] for row in self.call("embeddings.create", model=model, inputs=texts)["data"]]


class Responses(Dialect):
    method = streaming = "responses.create"
    stream_switch = {"stream": True}

    def request(self, ask):
        parts = [{"type": "input_text", "text": PROMPT}]
        if ask.image:
            parts.append({"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{ask.image}"})
        if ask.pdf:
            parts.append({"type": "input_file", "filename": "page.pdf", "file_data": f"data:application/pdf;base64,{ask.pdf}"})
        items = [{"role": "user", "content": parts}]
        for answer, results in ask.past:
            items += answer.turn
            for call, (text, _) in zip(answer.calls, results):
                items.append({"type": "function_call_output", "call_id": call["id"], "output": text})
        request = {"model": ask.model, "input": items, "store": False, "max_output_tokens": ask.max_tokens}
        if ask.system:
            request["instructions"] = ask.system
        if ask.tools:
            request["tools"] = [{"type": "function", "strict": False, **tool} for tool in ask.tools]
        if ask.schema:
            request["text"] = {"format": {"type": "json_schema", "name": "city", "schema": ask.schema, "strict": True}}
        if ask.thinks:
            request["reasoning"] = {"effort": "high", "summary": "auto"}
            request["include"] = ["reasoning.encrypted_content"]
        return request

    def read(self, body):
        answer = Answer(turn=[without(item, "status") for item in body["output"]])
        for item in body["output"]:
            if item["type"] == "function_call":
                answer.calls.append({"id": item["call_id"], "name": item["name"], "arguments": json.loads(item["arguments"])})
            elif item["type"] == "reasoning":
                answer.thinking += "".join(part["text"] for part in item["summary"])
            elif item["type"] == "message":
                for part in item["content"]:
                    answer.text += part.get("text", "")
                    answer.refusal += part.get("refusal", "")
                    answer.links += [note["url"] for note in part.get("annotations") or []]
        answer.finish = "tool" if answer.calls else "end"
        if body["status"] == "incomplete":
            answer.finish = {"max_output_tokens": "length", "content_filter": "refusal"}[body["incomplete_details"]["reason"]]
        if answer.refusal:
            answer.finish = "refusal"
        if usage := body.get("usage"):
            cached = usage["input_tokens_details"]["cached_tokens"]
            answer.usage = {"input": usage["input_tokens"], "output": usage["output_tokens"], "cached": cached}
        return answer

    def fold(self, events):
        last = events[-1]
        if last["type"] in ("error", "response.failed"):
            # The SDK hands these on as events; its user reads them there.
            raise StreamError(events)
        assert last["type"] in ("response.completed", "response.incomplete"), last["type"]
        answer = self.read(last["response"])
        texts = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
        fragments = [event["delta"] for event in events if event["type"] == "response.function_call_arguments.delta"]
        assert "".join(texts) == answer.text
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        answer.n_text_events, answer.n_argument_events = len(texts), len(fragments)
        return answer

    def count(self, model):
        return self.call("responses.input_tokens.count", model=model, input=PROMPT)["input_tokens"]


class StreamError(Exception):
    """The stream ended with the dialect's error event."""

    def __init__(self, events):
        super().__init__(f"{events[-1]}"[:300])
        self.kind, self.status, self.events = "error event", None, events


class Messages(Dialect):
    method = streaming = "messages.create"
    stream_switch = {"stream": True}

    def request(self, ask):
        parts = [{"type": "text", "text": PROMPT}]
        for kind, media, data in (("image", "image/png", ask.image), ("document", "application/pdf", ask.pdf)):
            if data:
                parts.append({"type": kind, "source": {"type": "base64", "media_type": media, "data": data}})
        messages = [{"role": "user", "content": parts}]
        for answer, results in ask.past:
            messages.append({"role": "assistant", "content": answer.turn})
            blocks = [
                {"type": "tool_result", "tool_use_id": call["id"], "content": text, "is_error": is_error}
                for call, (text, is_error) in zip(answer.calls, results)
            ]
            messages.append({"role": "user", "content": blocks})
        request = {"model": ask.model, "messages": messages, "max_tokens": ask.max_tokens}
        if ask.system:
            request["system"] = ask.system
        if ask.tools:
            request["tools"] = [
                {"name": tool["name"], "description": tool["description"], "input_schema": tool["parameters"]} for tool in ask.tools
            ]
        if ask.stop:
            request["stop_sequences"] = ask.stop
        if ask.schema:
            request["output_config"] = {"format": {"type": "json_schema", "schema": ask.schema}}
        if ask.thinks:
            request["thinking"] = {"type": "adaptive", "display": "summarized"}
        return request

    def read(self, body):
        answer = Answer(turn=[without(block, "parsed_output", "caller", "citations") for block in body["content"]])
        for block in body["content"]:
            if block["type"] == "text":
                answer.text += block["text"]
                answer.links += [note["url"] for note in block.get("citations") or []]
            elif block["type"] == "thinking":
                answer.thinking += block["thinking"]
            elif block["type"] == "tool_use":
                answer.calls.append({"id": block["id"], "name": block["name"], "arguments": block["input"]})
        reasons = {"end_turn": "end", "stop_sequence": "end", "max_tokens": "length", "tool_use": "tool", "refusal": "refusal"}
        answer.finish = reasons[body["stop_reason"]]
        usage = body["usage"]
        read, written = usage.get("cache_read_input_tokens") or 0, usage.get("cache_creation_input_tokens") or 0
        answer.usage = {"input": usage["input_tokens"] + read + written, "output": usage["output_tokens"], "cached": read}
        return answer

    def fold(self, events):
        body, arguments = None, {}
        n_texts = n_fragments = 0
        for event in events:
            match event["type"]:
                case "message_start":
                    body = json.loads(json.dumps(event["message"]))
                case "content_block_start":
                    body["content"].append(dict(event["content_block"]))
                case "content_block_delta":
                    block, delta = body["content"][event["index"]], event["delta"]
                    for kind, name in (("text_delta", "text"), ("thinking_delta", "thinking"), ("signature_delta", "signature")):
                        if delta["type"] == kind:
                            block[name] = (block.get(name) or "") + delta[name]
                    if delta["type"] == "citations_delta":
                        block["citations"] = [*(block.get("citations") or []), delta["citation"]]
                    if delta["type"] == "input_json_delta":
                        arguments[event["index"]] = arguments.get(event["index"], "") + delta["partial_json"]
                        n_fragments += bool(delta["partial_json"])
                    n_texts += delta["type"] == "text_delta"
                case "message_delta":
                    body["stop_reason"] = event["delta"]["stop_reason"]
                    body["usage"].update(without(event["usage"]))
        assert events[-1]["type"] == "message_stop", events[-1]
        for index, text in arguments.items():
            body["content"][index]["input"] = json.loads(text or "{}")
        answer = self.read(body)
        answer.n_text_events, answer.n_argument_events = n_texts, n_fragments
        return answer

    def count(self, model):
        messages = [{"role": "user", "content": PROMPT}]
        return self.call("messages.count_tokens", model=model, messages=messages)["input_tokens"]


class Gemini(Dialect):
    method, streaming = "models.generate_content", "models.generate_content_stream"
    stream_switch = {}

    def request(self, ask):
        parts = [{"text": PROMPT}]
        for media, data in (("image/png", ask.image), ("application/pdf", ask.pdf)):
            if data:
                parts.append({"inlineData": {"mimeType": media, "data": data}})
        contents = [{"role": "user", "parts": parts}]
        for answer, results in ask.past:
            contents.append(answer.turn)
            replies = []
            for call, (text, is_error) in zip(answer.calls, results):
                reply = {"name": call["name"], "response": {"error" if is_error else "result": text}}
                replies.append({"functionResponse": {**reply, **({"id": call["id"]} if call["id"] else {})}})
            contents.append({"role": "user", "parts": replies})
        config = {"max_output_tokens": ask.max_tokens}
        if ask.system:
            config["system_instruction"] = ask.system
        if ask.tools:
            declarations = [
                {"name": tool["name"], "description": tool["description"], "parameters_json_schema": tool["parameters"]}
                for tool in ask.tools
            ]
            config["tools"] = [{"function_declarations": declarations}]
        if ask.stop:
            config["stop_sequences"] = ask.stop
        if ask.schema:
            config |= {"response_mime_type": "application/json", "response_json_schema": ask.schema}
        if ask.thinks:
            config["thinking_config"] = {"include_thoughts": True, "thinking_budget": 2048}
        return {"model": ask.model, "contents": contents, "config": config}

    def read(self, body):
        return self.fold([body])

    def fold(self, events):
        answer, parts, finish, usage = Answer(), [], None, None
        for event in events:
            usage = event.get("usageMetadata") or usage
            blocked = (event.get("promptFeedback") or {}).get("blockReason")
            finish = "SAFETY" if blocked else finish
            for candidate in event.get("candidates") or []:
                finish = candidate.get("finishReason") or finish
                new = (candidate.get("content") or {}).get("parts") or []
                parts += new
                answer.n_text_events += any(part.get("text") for part in new)
                for chunk in (candidate.get("groundingMetadata") or {}).get("groundingChunks") or []:
                    # A page of the web, or the place of a quoted source.
                    answer.links.append((chunk.get("web") or chunk["retrievedContext"])["uri"])
                for source in (candidate.get("citationMetadata") or {}).get("citations") or []:
                    answer.links.append(source["uri"])
        for part in parts:
            if part.get("thought"):
                answer.thinking += part.get("text", "")
            else:
                answer.text += part.get("text", "")
            if call := part.get("functionCall"):
                answer.calls.append({"id": call.get("id"), "name": call["name"], "arguments": call.get("args") or {}})
        reasons = {"STOP": "tool" if answer.calls else "end", "MAX_TOKENS": "length", "SAFETY": "refusal", "PROHIBITED_CONTENT": "refusal"}
        # An end without a reason is how a user of this SDK sees a stream that was cut.
        if finish is None:
            raise StreamError(events)
        answer.finish = reasons[finish]
        answer.turn = {"role": "model", "parts": parts}
        if usage:
            output = usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0)
            answer.usage = {"input": usage["promptTokenCount"], "output": output, "cached": usage.get("cachedContentTokenCount")}
        return answer

    def embed(self, model, texts):
        return [row["values"] for row in self.call("models.embed_content", model=model, contents=texts)["embeddings"]]

    def count(self, model):
        return self.call("models.count_tokens", model=model, contents=PROMPT)["totalTokens"]
