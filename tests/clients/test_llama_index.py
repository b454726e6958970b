"""LlamaIndex, `OpenAILike`: a streamed tool call and its answer on each dialect of provider."""

import secrets

import pytest
from harness import PROVIDERS, script_for
from llama_index.core.llms import ChatMessage, MessageRole
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from received import tool_names, tool_results


def get_weather(location: str) -> str:
    """Tells the weather of a place."""
    raise AssertionError("only its declaration is used")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_tool_loop(testkit, tollgate, provider):
    weather = f"sunny, {secrets.token_hex(8)}"
    said = f"The weather in Paris is {weather}."
    name = testkit.two_steps(script_for(provider), "get_weather", {"location": "Paris"}, said)
    model = OpenAILike(
        api_base=f"{tollgate.url}/v1",
        api_key=tollgate.key,
        model=f"{provider}/{name}",
        is_chat_model=True,
        is_function_calling_model=True,
        max_retries=0,
    )
    tools = [FunctionTool.from_defaults(get_weather)]
    question = ChatMessage("What is the weather in Paris?")

    chunks = list(model.stream_chat_with_tools(tools, chat_history=[question]))

    [wanted] = model.get_tool_calls_from_response(chunks[-1])
    assert (wanted.tool_name, wanted.tool_kwargs) == ("get_weather", {"location": "Paris"})

    result = ChatMessage(weather, role=MessageRole.TOOL, additional_kwargs={"tool_call_id": wanted.tool_id})
    chunks = list(model.stream_chat_with_tools(tools, chat_history=[question, chunks[-1].message, result]))

    assert chunks[-1].message.content == said
    assert sum(bool(chunk.delta) for chunk in chunks) > 1
    asked, answered = testkit.exchange(name)
    assert (asked["dialect"], asked["stream"]) == (PROVIDERS[provider], True)
    assert tool_names(asked) == ["get_weather"]
    [(tool, text)] = tool_results(answered)
    assert tool == "get_weather" and weather in text
