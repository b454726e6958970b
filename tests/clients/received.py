"""Reads what a provider received out of a record, whichever dialect it came in."""

import json


def tool_names(record):
    """The names of the tools that were offered."""
    tools = record["body"].get("tools", [])
    match record["dialect"]:
        case "anthropic":
            return [tool["name"] for tool in tools]
        case "gemini":
            return [function["name"] for tool in tools for function in tool["functionDeclarations"]]
        case "openai":
            return [tool["function"]["name"] for tool in tools]


def tool_results(record):
    """The results of tools as (name of the tool, text), in the order they stand in."""
    return [(name, text) for name, _, text in tool_exchanges(record)]


def tool_exchanges(record):
    """The answered calls as (name of the tool, its arguments, text of the result), in the order of the results."""
    body, found, calls = record["body"], [], {}
    match record["dialect"]:
        case "anthropic":
            for block in _blocks(body["messages"], "content"):
                if block["type"] == "tool_use":
                    calls[block["id"]] = (block["name"], block["input"])
                elif block["type"] == "tool_result":
                    found.append((*calls[block["tool_use_id"]], _text(block["content"])))
        case "gemini":
            for part in _blocks(body["contents"], "parts"):
                # An id may be left out; then the name is what ties the two.
                if "functionCall" in part:
                    called = part["functionCall"]
                    calls[called.get("id", called["name"])] = (called["name"], called.get("args", {}))
                elif "functionResponse" in part:
                    told = part["functionResponse"]
                    found.append((*calls[told.get("id", told["name"])], json.dumps(told["response"], ensure_ascii=False)))
        case "openai":
            for message in body["messages"]:
                for call in message.get("tool_calls") or []:
                    function = call["function"]
                    calls[call["id"]] = (function["name"], json.loads(function["arguments"]))
                if message["role"] == "tool":
                    found.append((*calls[message["tool_call_id"]], _text(message["content"])))
    return found


def _blocks(messages, field):
    return [block for message in messages if isinstance(message[field], list) for block in message[field]]


def _text(content):
    return content if isinstance(content, str) else "".join(block["text"] for block in content)
