"""What the OpenAI suites share: requests, tools, and how a stream folds into one answer."""

import json
from dataclasses import dataclass, field

from pydantic import BaseModel

HELLO = [{"role": "user", "content": "Say hello to the testkit."}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a place.",
        "parameters": {
            "type": "object",
            "properties": {"location": {"type": "string"}, "days": {"type": "integer"}, "unit": {"type": "string"}},
            "required": ["location", "days"],
        },
    },
}
CLOCK = {
    "type": "function",
    "function": {
        "name": "get_time",
        "description": "Time of a zone.",
        "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]},
    },
}
NO_ARGUMENTS = {"type": "function", "function": {"name": "list_files", "parameters": {"type": "object", "properties": {}}}}
ARGUMENTS = {"location": "Paris", "days": 7}
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class City(BaseModel):
    name: str
    population: int
    tags: list[str]


@dataclass
class Folded:
    """A stream, put together again as a client would."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    calls: dict = field(default_factory=dict)
    finish: str | None = None
    usage: object = None
    n_text_chunks: int = 0
    n_usage_chunks: int = 0

    def arguments(self):
        return [json.loads(call["arguments"]) for call in self.calls.values()]


def fold(stream, folded=None):
    """Reads a chat stream to its end; pass `folded` to keep what came before an exception."""
    folded = folded if folded is not None else Folded()
    for chunk in stream:
        if chunk.usage is not None:
            folded.usage = chunk.usage
            folded.n_usage_chunks += 1
        for choice in chunk.choices:
            delta = choice.delta
            if delta.content:
                folded.text += delta.content
                folded.n_text_chunks += 1
            folded.reasoning += getattr(delta, "reasoning_content", None) or ""
            folded.refusal += delta.refusal or ""
            for call in delta.tool_calls or []:
                slot = folded.calls.setdefault(call.index, {"id": call.id, "name": "", "arguments": ""})
                slot["name"] += call.function.name or ""
                slot["arguments"] += call.function.arguments or ""
            folded.finish = choice.finish_reason or folded.finish
    return folded


def tool_loop(client, model, tools):
    """Asks, answers every call, asks again; returns both answers."""
    messages = [{"role": "system", "content": "Use the tools."}, {"role": "user", "content": "What is the weather in Paris?"}]
    first = client.chat.completions.create(model=model, messages=messages, tools=tools)
    message = first.choices[0].message
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": f"22 degrees ({index})"}
        for index, call in enumerate(message.tool_calls)
    ]
    history = [*messages, message.model_dump(exclude_none=True, exclude={"reasoning_content", "annotations"}), *results]
    second = client.chat.completions.create(model=model, messages=history, tools=tools)
    return first, second
