"""`mistralai` against Tollgate's chat completions: what its users write, beyond the grid."""

import json

import pytest
from harness import SHORT_TEXT, tag
from mistralai.client import Mistral
from mistralai.client.errors import SDKError
from openai_calls import ARGUMENTS, City, HELLO, WEATHER

providers = pytest.mark.parametrize("provider", ["oai", "mistral", "ant", "gem"])


@pytest.fixture(scope="module")
def client(tollgate):
    return Mistral(api_key=tollgate.key, server_url=tollgate.url)


@providers
def test_complete(client, provider):
    answer = client.chat.complete(model=f"{provider}/text", messages=HELLO)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (SHORT_TEXT, "stop")
    assert answer.usage.completion_tokens == 13


@providers
def test_stream(client, provider):
    with client.chat.stream(model=f"{provider}/text", messages=HELLO) as stream:
        texts = [event.data.choices[0].delta.content or "" for event in stream if event.data.choices]
    assert len(texts) > 3 and "".join(texts) == SHORT_TEXT


@providers
def test_tool_call(client, provider):
    answer = client.chat.complete(model=f"{provider}/tool", messages=HELLO, tools=[WEATHER], tool_choice="required")
    (call,) = answer.choices[0].message.tool_calls
    arguments = call.function.arguments
    assert (json.loads(arguments) if isinstance(arguments, str) else arguments) == ARGUMENTS
    assert answer.choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("provider", ["oai", "ant", "gem"])
def test_any_tool(client, provider):
    answer = client.chat.complete(model=f"{provider}/tool", messages=HELLO, tools=[WEATHER], tool_choice="any")
    assert len(answer.choices[0].message.tool_calls) == 1


@providers
def test_parsed_structured_output(client, provider):
    answer = client.chat.parse(City, model=f"{provider}/json", messages=HELLO)
    assert answer.choices[0].message.parsed == City(name="Paris", population=7, tags=["Paris"])


@providers
def test_errors(client, provider):
    for script, status in (("e404", 404), ("e400", 400), ("e529", 503)):
        with pytest.raises(SDKError) as caught:
            client.chat.complete(model=f"{provider}/{script}:{tag()}", messages=HELLO)
        assert caught.value.status_code == status


def test_the_seed_reaches_mistral_under_its_name(client, testkit):
    model = f"text:{tag()}"
    with pytest.raises(SDKError):
        # The scripted provider has OpenAI's field alone and names the one that it does not know.
        client.chat.complete(model=f"mistral/{model}", messages=HELLO, random_seed=7)
    assert testkit.records(model)[0]["body"]["random_seed"] == 7
