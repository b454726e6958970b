"""What the Anthropic suites share: requests, tools, and how a stream folds into one answer."""

import anthropic
from pydantic import BaseModel

IS_2023 = int(anthropic.__version__.split(".")[0]) == 0

HELLO = [{"role": "user", "content": "Say hello to the testkit."}]
WEATHER = {
    "name": "get_weather",
    "description": "Weather of a place.",
    "input_schema": {
        "type": "object",
        "properties": {"location": {"type": "string"}, "days": {"type": "integer"}, "unit": {"type": "string"}},
        "required": ["location", "days"],
    },
}
CLOCK = {
    "name": "get_time",
    "description": "Time of a zone.",
    "input_schema": {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]},
}
NO_ARGUMENTS = {"name": "list_files", "input_schema": {"type": "object", "properties": {}}}
ARGUMENTS = {"location": "Paris", "days": 7}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class City(BaseModel):
    name: str
    population: int
    tags: list[str]


def ask(client, model, streamed, **extra):
    """One message, streamed or not, as a finished `Message`."""
    request = {"model": model, "max_tokens": 1024, "messages": HELLO, **extra}
    if not streamed:
        return client.messages.create(**request)
    with client.messages.stream(**request) as stream:
        return stream.get_final_message()


def text(message):
    return "".join(block.text for block in message.content if block.type == "text")


def calls(message):
    return [block for block in message.content if block.type == "tool_use"]


def replay(message):
    """The blocks of an answer as they go back into the history: unedited, without the SDK's own fields."""
    kept = {"type", "text", "thinking", "signature", "data", "id", "name", "input"}
    return [{key: value for key, value in block.model_dump().items() if key in kept} for block in message.content]


def tool_loop(client, model, tools, streamed=False, **extra):
    """Asks, answers every call, asks again; returns both answers."""
    first = ask(client, model, streamed, tools=tools, system="Use the tools.", **extra)
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": f"22 degrees ({index})"}
        for index, call in enumerate(calls(first))
    ]
    history = [*HELLO, {"role": "assistant", "content": replay(first)}, {"role": "user", "content": results}]
    second = ask(client, model, streamed, tools=tools, system="Use the tools.", messages=history, **extra)
    return first, second
