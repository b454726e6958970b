"""LangChain: a streamed tool call and its answer with each of its packages, on providers of other vendors."""

import secrets

import pytest
from harness import PROVIDERS, script_for
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import ChatOpenAI
from received import tool_names, tool_results


@tool
def get_weather(location: str) -> str:
    """Tells the weather of a place."""
    raise AssertionError("only its declaration is used")


def openai_chat(tollgate, model):
    return ChatOpenAI(base_url=f"{tollgate.url}/v1", api_key=tollgate.key, model=model, stream_usage=True, max_retries=0)


def openai_responses(tollgate, model):
    return ChatOpenAI(base_url=f"{tollgate.url}/v1", api_key=tollgate.key, model=model, use_responses_api=True, max_retries=0)


def anthropic(tollgate, model):
    return ChatAnthropic(base_url=tollgate.url, api_key=tollgate.key, model=model, max_tokens=1000, max_retries=0)


def google(tollgate, model):
    return ChatGoogleGenerativeAI(base_url=tollgate.url, api_key=tollgate.key, model=model, max_retries=0)


def streamed(model, messages):
    """The chunks of a stream and the message they make."""
    chunks = list(model.stream(messages))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return chunks, whole


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("client", [openai_chat, openai_responses, anthropic, google])
def test_tool_loop(testkit, tollgate, client, provider):
    weather = f"sunny, {secrets.token_hex(8)}"
    said = f"The weather in Paris is {weather}."
    name = testkit.two_steps(script_for(provider), "get_weather", {"location": "Paris"}, said)
    model = client(tollgate, f"{provider}/{name}").bind_tools([get_weather])
    conversation = [HumanMessage("What is the weather in Paris?")]

    chunks, call = streamed(model, conversation)

    assert any(chunk.tool_call_chunks for chunk in chunks)
    [wanted] = call.tool_calls
    assert (wanted["name"], wanted["args"]) == ("get_weather", {"location": "Paris"})
    assert call.usage_metadata["input_tokens"] > 0 and call.usage_metadata["output_tokens"] > 0

    conversation += [call, ToolMessage(weather, tool_call_id=wanted["id"], name="get_weather")]
    chunks, answer = streamed(model, conversation)

    assert answer.text == said
    assert sum(bool(chunk.text) for chunk in chunks) > 1
    asked, answered = testkit.exchange(name)
    assert (asked["dialect"], asked["stream"]) == (PROVIDERS[provider], True)
    assert tool_names(asked) == ["get_weather"]
    [(tool_name, text)] = tool_results(answered)
    assert tool_name == "get_weather" and weather in text
