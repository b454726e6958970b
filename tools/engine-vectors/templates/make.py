"""Writes `crates/engine/tests/vectors/templates/cases.json`: what Python's jinja2 makes of every template beside it.

The environment is set up as transformers does it (`utils/chat_template_utils.py`). The templates are written for these
tests, after the features of the families that they are named for.
"""

import json
import pathlib

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

FOLDER = pathlib.Path(__file__).resolve().parents[3] / "crates/engine/tests/vectors/templates"

WEATHER = {
    "name": "get_weather",
    "description": "The weather of a \"city\" – today & <soon>.",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Größe egal, 東京 too"},
            "days": {"type": "array", "items": {"type": "integer"}},
            "detail": {"type": ["string", "number"]},
            "extra": {"type": "object", "additionalProperties": {"type": "boolean"}},
        },
        "required": ["city"],
    },
}
CLOCK = {"name": "clock", "description": None, "parameters": {"type": "object", "properties": {}}}


def turn(role, *content, **more):
    return {"role": role, "content": list(content), **more}


def call(name, arguments, id):
    return {"id": id, "name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}


CALLED = [
    turn("user", "Weather in Zürich?"),
    turn("assistant", "", calls=[call("get_weather", {"city": "Zürich", "days": [1, 2], "n": 1.5, "x": None}, "abcdef123")]),
    turn("tool", "{\"sky\": \"grey\"}", call_id="abcdef123", name="get_weather"),
]

CONVERSATIONS = [
    {"turns": [turn("user", " Hi <there> & \"you\" ")]},
    {"turns": [turn("system", "Be brief."), turn("user", "One?"), turn("assistant", "Two."), turn("user", "Three?\n")]},
    {"turns": [turn("system", "Be brief."), turn("user", "Hi 🙂")], "tools": [WEATHER]},
    {"turns": CALLED, "tools": [WEATHER, CLOCK]},
    {"turns": [*CALLED, turn("assistant", "It is grey."), turn("user", "And the time?")], "tools": [WEATHER, CLOCK]},
    {"turns": [
        turn("user", "Both?"),
        turn("assistant", "I look.", calls=[
            call("get_weather", {"city": "Bern"}, "aaaaaaaa1"), call("clock", {}, "aaaaaaaa2")]),
        turn("tool", "rain", call_id="aaaaaaaa1", name="get_weather"),
        turn("tool", "12:00", call_id="aaaaaaaa2", name="clock")], "tools": [WEATHER, CLOCK]},
    {"turns": [turn("user", "Think."), turn("assistant", "<think>\nso\n</think>\n\nDone."), turn("user", "More")],
     "thinking": False},
    {"turns": [turn("user", "Go"), turn("assistant", "Calling.", reasoning="I should look.",
                                        calls=[call("clock", {}, "bbbbbbbb1")]),
               turn("tool", "13:00", call_id="bbbbbbbb1")], "thinking": True, "tools": [CLOCK]},
    {"turns": [turn("user", "one ", " two", "three")], "arguments": {"date_string": "1 Jan 2030", "open_thinking": True}},
    {"turns": [turn("user", "a"), turn("user", "b")], "arguments": {"tools_in_user_message": False}, "tools": [CLOCK]},
    {"turns": [turn("assistant", "I begin."), turn("system", "late")]},
]


def environment():
    def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    return env


def message(turn, takes_parts):
    content = turn["content"]
    if takes_parts and len(content) > 1:
        content = [{"type": "text", "text": text} for text in content]
    else:
        content = "".join(content)
    out = {"role": turn["role"], "content": content}
    if "reasoning" in turn:
        out["reasoning_content"] = turn["reasoning"]
    if "calls" in turn:
        out["tool_calls"] = [
            {"id": c["id"], "type": "function", "function": {"name": c["name"], "arguments": json.loads(c["arguments"])}}
            for c in turn["calls"]]
    if "call_id" in turn:
        out["tool_call_id"] = turn["call_id"]
    if "name" in turn:
        out["name"] = turn["name"]
    return out


def render(template, conversation, takes_parts):
    tools = [{"type": "function", "function": {k: v for k, v in tool.items() if v is not None}}
             for tool in conversation.get("tools", [])]
    more = dict(conversation.get("arguments", {}))
    if "thinking" in conversation:
        more["enable_thinking"] = conversation["thinking"]
    try:
        return {"text": template.render(
            messages=[message(t, takes_parts) for t in conversation["turns"]], tools=tools or None, documents=None,
            add_generation_prompt=True, bos_token="<s>", eos_token="</s>", **more)}
    except jinja2.exceptions.TemplateError as error:
        return {"raised": str(error)}


def main():
    env = environment()
    outputs = {}
    for path in sorted(FOLDER.glob("*.jinja")):
        template = env.from_string(path.read_text())
        outputs[path.stem] = [render(template, c, path.stem == "gemma") for c in CONVERSATIONS]
    text = json.dumps({"conversations": CONVERSATIONS, "outputs": outputs}, ensure_ascii=False, indent=1)
    (FOLDER / "cases.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
