"""The official OpenAI SDK and Tollgate itself: keys, model list, endpoints of one dialect, the built-in model."""

import openai
import pytest
from harness import SHORT_TEXT, virtual_key
from openai_calls import HELLO, WEATHER, fold
from test_testkit_openai import both_ways, create

DEMO = "tollgate-demo"
QUESTION = [{"role": "user", "content": "What is Tollgate?"}]


@pytest.fixture(scope="module")
def client(tollgate):
    return openai.OpenAI(base_url=f"{tollgate.url}/v1", api_key=tollgate.key, max_retries=0)


@pytest.mark.parametrize("key", [virtual_key(), "sk-tg-short", "sk-wrong", "test-openai"], ids=["unknown", "short", "foreign", "provider's"])
def test_wrong_key_is_an_authentication_error(client, key):
    with pytest.raises(openai.AuthenticationError) as caught:
        client.with_options(api_key=key).chat.completions.create(model="oai/text", messages=HELLO)
    assert caught.value.code == "invalid_api_key"
    assert key not in str(caught.value.body)


@pytest.mark.parametrize("model", ["no-such-model", "nobody/text", ""])
def test_unknown_model(client, model):
    with pytest.raises((openai.NotFoundError, openai.BadRequestError)) as caught:
        client.chat.completions.create(model=model, messages=HELLO)
    assert isinstance(caught.value, openai.NotFoundError) == bool(model)


def test_model_list(client):
    listed = [model.id for model in client.models.list()]
    assert DEMO in listed
    assert client.models.retrieve(DEMO).object == "model"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


def test_legacy_completion(client):
    answer = client.completions.create(model="oai/text", prompt="Once upon", max_tokens=64)
    streamed = client.completions.create(model="oai/text", prompt="Once upon", max_tokens=64, stream=True)
    assert answer.choices[0].text == "".join(chunk.choices[0].text for chunk in streamed if chunk.choices) == SHORT_TEXT


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings(client, encoding):
    answer = client.embeddings.create(model="oai/text-embedding-3-small", input=["one two", "three"], dimensions=8, encoding_format=encoding)
    assert [row.index for row in answer.data] == [0, 1]
    assert answer.usage.prompt_tokens == 3


def test_several_choices_pass_through(client):
    answer = client.chat.completions.create(model="oai/text", messages=HELLO, n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]


def test_several_choices_cannot_be_translated(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="ant/text", messages=HELLO, n=3)
    assert caught.value.param == "n"


# === the built-in model ===


@both_ways
def test_demo_answers_with_exact_usage(client, streamed):
    answer = create(client, DEMO, streamed, messages=QUESTION, temperature=0)
    assert answer.text.strip()
    assert answer.finish == "stop"
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_demo_is_the_same_whole_and_streamed(client):
    whole, streamed = (create(client, DEMO, way, messages=QUESTION, temperature=0, seed=7) for way in (False, True))
    assert (whole.text, whole.usage.completion_tokens) == (streamed.text, streamed.usage.completion_tokens)


def test_demo_streams_in_pieces(client):
    answer = fold(client.chat.completions.create(model=DEMO, messages=QUESTION, stream=True))
    assert answer.n_text_chunks > 1


@both_ways
def test_demo_honours_the_output_cap(client, streamed):
    answer = create(client, DEMO, streamed, messages=QUESTION, temperature=0, max_completion_tokens=3)
    assert (answer.finish, answer.usage.completion_tokens) == ("length", 3)


@both_ways
def test_demo_honours_stop(client, streamed):
    whole = create(client, DEMO, False, messages=QUESTION, temperature=0)
    word = whole.text.split()[2]
    stopped = create(client, DEMO, streamed, messages=QUESTION, temperature=0, stop=[word])
    assert stopped.finish == "stop"
    assert whole.text.startswith(stopped.text)
    assert word not in stopped.text


def test_demo_refuses_what_does_not_fit_its_window(client):
    messages = [{"role": "user", "content": "word " * 100_000}]
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=DEMO, messages=messages)
    assert caught.value.code == "context_length_exceeded"


def test_demo_says_what_it_cannot_do_with_tools(client):
    with pytest.raises(openai.BadRequestError, match="(?i)tool"):
        client.chat.completions.create(model=DEMO, messages=QUESTION, tools=[WEATHER], tool_choice="required")
