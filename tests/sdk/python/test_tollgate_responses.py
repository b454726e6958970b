"""The state of Responses that Tollgate keeps itself when the provider does not: the official OpenAI SDK against a
provider of each dialect."""

import time

import openai
import pytest
from harness import SHORT_TEXT, tag

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "strict": False,
    "parameters": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
}
# "openai" keeps responses itself; for the others Tollgate does.
providers = pytest.mark.parametrize("provider", ["openai", "oai", "ant", "gem"])


@pytest.fixture(scope="module")
def client(tollgate):
    return openai.OpenAI(base_url=f"{tollgate.url}/v1", api_key=tollgate.key, max_retries=0)


@pytest.fixture(scope="module")
def stranger(tollgate):
    return openai.OpenAI(base_url=f"{tollgate.url}/v1", api_key=tollgate.other_key, max_retries=0)


@providers
def test_a_turn_builds_on_the_last(client, testkit, provider):
    model = f"echo:{tag()}"
    first = client.responses.create(model=f"{provider}/{model}", input="My name is Ada.")
    second = client.responses.create(model=f"{provider}/{model}", input="Who am I?", previous_response_id=first.id)
    assert (first.output_text, second.output_text) == ("My name is Ada.", "Who am I?")
    assert second.previous_response_id == first.id
    if provider != "openai":
        # A model is stateless: the whole conversation goes up again.
        assert str(testkit.records(model)[1]["body"]).count("My name is Ada.") == 2


@providers
def test_a_tool_loop_over_kept_turns(client, provider):
    model = f"{provider}/tool:{tag()}"
    first = client.responses.create(model=model, input="Weather in Paris?", tools=[WEATHER])
    call = next(item for item in first.output if item.type == "function_call")
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "22 degrees"}
    second = client.responses.create(model=model, input=[result], tools=[WEATHER], previous_response_id=first.id)
    assert second.output_text == "The tool said: 22 degrees"


@providers
def test_a_streamed_response_is_kept(client, provider):
    with client.responses.stream(model=f"{provider}/text:{tag()}", input="Hello") as stream:
        answer = stream.get_final_response()
    assert answer.output_text == SHORT_TEXT
    assert client.responses.retrieve(answer.id).output_text == SHORT_TEXT


@providers
def test_retrieve_and_input_items(client, provider):
    answer = client.responses.create(model=f"{provider}/text:{tag()}", input="Hello there", metadata={"team": "search"})
    kept = client.responses.retrieve(answer.id)
    assert (kept.id, kept.output_text, kept.status) == (answer.id, SHORT_TEXT, "completed")
    assert kept.metadata == {"team": "search"}
    items = client.responses.input_items.list(answer.id).data
    assert [item.content[0].text for item in items] == ["Hello there"]


@providers
def test_delete(client, provider):
    answer = client.responses.create(model=f"{provider}/text:{tag()}", input="Hello")
    client.responses.delete(answer.id)
    for gone in (
        lambda: client.responses.retrieve(answer.id),
        lambda: client.responses.delete(answer.id),
        lambda: client.responses.create(model=f"{provider}/text", input="More", previous_response_id=answer.id),
    ):
        with pytest.raises((openai.NotFoundError, openai.BadRequestError)):
            gone()


@providers
def test_store_false_keeps_nothing(client, provider):
    answer = client.responses.create(model=f"{provider}/text:{tag()}", input="Hello", store=False)
    assert answer.store is False
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(answer.id)


@providers
def test_another_key_sees_nothing(client, stranger, provider):
    answer = client.responses.create(model=f"{provider}/text:{tag()}", input="Hello")
    for look in (
        lambda: stranger.responses.retrieve(answer.id),
        lambda: stranger.responses.input_items.list(answer.id),
        lambda: stranger.responses.delete(answer.id),
        lambda: stranger.responses.cancel(answer.id),
    ):
        with pytest.raises(openai.NotFoundError):
            look()
    with pytest.raises((openai.NotFoundError, openai.BadRequestError)):
        stranger.responses.create(model=f"{provider}/text", input="More", previous_response_id=answer.id)
    assert client.responses.retrieve(answer.id).id == answer.id


@pytest.mark.parametrize("provider", ["oai", "ant", "gem"])
def test_background_ends_by_itself(client, provider):
    begun = client.responses.create(model=f"{provider}/text:{tag()}", input="Hello", background=True)
    assert begun.status in ("queued", "in_progress")
    deadline = time.monotonic() + 20
    while (ended := client.responses.retrieve(begun.id)).status in ("queued", "in_progress"):
        assert time.monotonic() < deadline
    assert (ended.status, ended.output_text) == ("completed", SHORT_TEXT)


def test_background_is_shown(client):
    begun = client.responses.create(model=f"oai/text:{tag()}", input="Hello", background=True)
    assert begun.background is True
    assert client.responses.retrieve(begun.id).background is True


@pytest.mark.parametrize("provider", ["oai", "ant", "gem"])
def test_background_is_cancelled(client, testkit, provider):
    model = f"hang-before-head:{tag()}"
    begun = client.responses.create(model=f"{provider}/{model}", input="Hello", background=True)
    # The provider works on it.
    assert len(testkit.records(model, count=1)) == 1
    assert client.responses.cancel(begun.id).status == "cancelled"
    assert client.responses.retrieve(begun.id).status == "cancelled"
    assert testkit.ended(model)["end"] == "client_closed"


@pytest.mark.parametrize("provider", ["oai", "ant", "gem"])
def test_only_background_can_be_cancelled(client, provider):
    answer = client.responses.create(model=f"{provider}/text:{tag()}", input="Hello")
    with pytest.raises(openai.BadRequestError):
        client.responses.cancel(answer.id)


@pytest.mark.parametrize("provider", ["oai", "ant", "gem"])
def test_a_conversation_is_kept(client, stranger, testkit, provider):
    model = f"echo:{tag()}"
    conversation = client.conversations.create()
    for words in ("My name is Ada.", "Who am I?"):
        client.responses.create(model=f"{provider}/{model}", input=words, conversation=conversation.id)
    assert "My name is Ada." in str(testkit.records(model)[1]["body"])
    items = client.conversations.items.list(conversation.id, order="asc").data
    assert [item.content[0].text for item in items] == ["My name is Ada.", "My name is Ada.", "Who am I?", "Who am I?"]
    with pytest.raises(openai.NotFoundError):
        stranger.conversations.retrieve(conversation.id)


@providers
def test_count_of_tokens(client, provider):
    assert client.responses.input_tokens.count(model=f"{provider}/text", input="Hello there").input_tokens > 0


def test_an_unknown_response_is_not_found(client):
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve("resp_" + tag())
