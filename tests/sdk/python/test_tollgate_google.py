"""`google-genai` through Tollgate, to a provider of each dialect: what its users write, beyond the grid."""

import pytest
from google import genai
from google.genai import errors, types
from harness import SHORT_TEXT, tag

providers = pytest.mark.parametrize("provider", ["oai", "ant", "gem"])


@pytest.fixture(scope="module")
def client(tollgate):
    return genai.Client(api_key=tollgate.key, http_options={"base_url": tollgate.url})


def get_weather(location: str, days: int) -> str:
    """Weather of a place."""
    return f"22 degrees in {location} for {days} days"


@providers
def test_generate(client, provider):
    answer = client.models.generate_content(model=f"{provider}/text", contents="Hello")
    assert answer.text == SHORT_TEXT
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert answer.usage_metadata.candidates_token_count == 13


@providers
def test_stream(client, provider):
    chunks = list(client.models.generate_content_stream(model=f"{provider}/text", contents="Hello"))
    assert len(chunks) > 1 and "".join(chunk.text or "" for chunk in chunks) == SHORT_TEXT


@providers
def test_a_function_is_called_by_itself(client, provider):
    config = types.GenerateContentConfig(tools=[get_weather])
    answer = client.models.generate_content(model=f"{provider}/tool", contents="Weather in Paris?", config=config)
    assert answer.text.startswith("The tool said: ") and "22 degrees in Paris for 7 days" in answer.text


@providers
def test_a_chat_remembers_and_calls_tools(client, testkit, provider):
    model = f"tool:{tag()}"
    chat = client.chats.create(model=f"{provider}/{model}", config=types.GenerateContentConfig(tools=[get_weather]))
    assert "22 degrees" in chat.send_message("Weather in Paris?").text
    assert len(testkit.records(model)) == 2


@providers
def test_a_streamed_chat(client, testkit, provider):
    model = f"echo:{tag()}"
    chat = client.chats.create(model=f"{provider}/{model}")
    for words in ("One two three", "Four five"):
        assert "".join(chunk.text or "" for chunk in chat.send_message_stream(words)) == words
    assert "One two three" in str(testkit.records(model)[1]["body"])


@pytest.mark.parametrize("provider", ["oai", "gem"])
def test_embeddings(client, provider):
    answer = client.models.embed_content(model=f"{provider}/text", contents=["one", "two words"])
    assert len(answer.embeddings) == 2 and len(answer.embeddings[0].values) > 1


@providers
def test_count_of_tokens(client, provider):
    assert client.models.count_tokens(model=f"{provider}/text", contents="Hello there").total_tokens > 0


def test_models(client):
    names = [model.name for model in client.models.list()]
    assert names and all(name.startswith("models/") for name in names)


@providers
@pytest.mark.parametrize(("script", "error", "code"), [("e404", errors.ClientError, 404), ("e400", errors.ClientError, 400), ("e529", errors.ServerError, 503)])
def test_errors(client, provider, script, error, code):
    with pytest.raises(error) as caught:
        client.models.generate_content(model=f"{provider}/{script}:{tag()}", contents="Hello")
    assert caught.value.code == code and caught.value.status


def test_a_wrong_key(tollgate):
    stranger = genai.Client(api_key="wrong", http_options={"base_url": tollgate.url})
    with pytest.raises(errors.ClientError) as caught:
        stranger.models.generate_content(model="gem/text", contents="Hello")
    assert caught.value.code == 401


@pytest.mark.anyio
async def test_asynchronous_stream(client):
    stream = await client.aio.models.generate_content_stream(model="ant/text", contents="Hello")
    assert "".join([chunk.text or "" async for chunk in stream]) == SHORT_TEXT
