"""The official OpenAI SDK through Tollgate, to a provider of either dialect.

The two providers serve the same script, so one expectation holds for both; where the dialects cannot agree,
the parameter says what each gives.
"""

import json

import openai
import pytest
from harness import SHORT_TEXT, THINKING_TEXT, tag
from openai_calls import ARGUMENTS, CLOCK, HELLO, NO_ARGUMENTS, PIXEL, WEATHER, City, Folded, fold, tool_loop
from test_testkit_openai import both_ways, create

pytestmark = pytest.mark.parametrize("provider", ["oai", "ant"], ids=["openai-provider", "anthropic-provider"])


@pytest.fixture(scope="module")
def client(tollgate):
    return openai.OpenAI(base_url=f"{tollgate.url}/v1", api_key=tollgate.key, max_retries=0)


def named(provider, base):
    """A script's name at the provider, and as Tollgate's callers write it."""
    model = f"{base}:{tag()}"
    return model, f"{provider}/{model}"


@both_ways
def test_text_with_usage(client, provider, streamed):
    answer = create(client, f"{provider}/text", streamed)
    assert (answer.text, answer.finish) == (SHORT_TEXT, "stop")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (5, 13, 18)


def test_events_arrive_one_by_one(client, provider):
    answer = fold(client.chat.completions.create(model=f"{provider}/text", messages=HELLO, stream=True))
    assert answer.n_text_chunks == 13


def test_usage_chunk_only_when_asked(client, provider):
    plain = fold(client.chat.completions.create(model=f"{provider}/text", messages=HELLO, stream=True))
    asked = create(client, f"{provider}/text", True)
    assert (plain.n_usage_chunks, asked.n_usage_chunks) == (0, 1)


@both_ways
@pytest.mark.parametrize("base", ["unicode", "bytewise", "crlf", "comments"])
def test_awkward_bytes_decode_to_the_same_text(client, provider, base, streamed):
    direct = create(client, "oai/unicode", False)
    assert create(client, f"{provider}/{base}", streamed).text == direct.text


@both_ways
def test_one_tool_call(client, provider, streamed):
    answer = create(client, f"{provider}/tool", streamed, tools=[WEATHER, CLOCK])
    assert ([call["name"] for call in answer.calls.values()], answer.arguments()) == (["get_weather"], [ARGUMENTS])
    assert answer.finish == "tool_calls"


@both_ways
def test_parallel_tool_calls(client, provider, streamed):
    answer = create(client, f"{provider}/parallel-tools", streamed, tools=[WEATHER, CLOCK])
    assert answer.arguments() == [ARGUMENTS, {"zone": "Paris"}]
    assert list(answer.calls) == [0, 1]
    assert len({call["id"] for call in answer.calls.values()}) == 2


def test_parallel_calls_can_be_switched_off(client, provider):
    answer = create(client, f"{provider}/parallel-tools", False, tools=[WEATHER, CLOCK], parallel_tool_calls=False)
    assert len(answer.calls) == 1


@both_ways
def test_tool_without_arguments(client, provider, streamed):
    assert create(client, f"{provider}/tool-no-args", streamed, tools=[NO_ARGUMENTS]).arguments() == [{}]


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("none", []),
        ("required", ["get_weather"]),
        ({"type": "function", "function": {"name": "get_time"}}, ["get_time"]),
    ],
    ids=["none", "required", "named"],
)
def test_tool_choice(client, provider, choice, names):
    answer = create(client, f"{provider}/tool", False, tools=[WEATHER, CLOCK], tool_choice=choice)
    assert [call["name"] for call in answer.calls.values()] == names


@pytest.mark.parametrize("base", ["tool", "parallel-tools", "thinking-tool"])
def test_two_step_tool_loop(client, provider, base):
    first, second = tool_loop(client, f"{provider}/{base}", [WEATHER, CLOCK])
    expected = " | ".join(f"22 degrees ({index})" for index in range(len(first.choices[0].message.tool_calls)))
    assert second.choices[0].message.content == f"The tool said: {expected}"


def test_parsed_structured_output(client, provider):
    answer = client.chat.completions.parse(model=f"{provider}/json", messages=HELLO, response_format=City)
    assert answer.choices[0].message.parsed == City(name="Paris", population=7, tags=["Paris"])


def test_streamed_structured_output(client, provider):
    with client.chat.completions.stream(model=f"{provider}/json", messages=HELLO, response_format=City) as stream:
        answer = stream.get_final_completion()
    assert answer.choices[0].message.parsed == City(name="Paris", population=7, tags=["Paris"])


@both_ways
def test_thinking_shows_as_reasoning_content(client, provider, streamed):
    answer = create(client, f"{provider}/thinking", streamed)
    assert (answer.reasoning, answer.text) == (THINKING_TEXT, SHORT_TEXT)
    assert answer.usage.completion_tokens_details.reasoning_tokens == 14


@both_ways
def test_cached_usage(client, provider, streamed):
    usage = create(client, f"{provider}/cached", streamed).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (1250, 40, 1290)
    assert usage.prompt_tokens_details.cached_tokens == 1000
    assert usage.prompt_tokens_details.cache_write_tokens == 230


@both_ways
@pytest.mark.parametrize(
    ("base", "finishes"),
    [
        ("max-tokens", {"oai": "length", "ant": "length"}),
        ("context-full", {"oai": "length", "ant": "length"}),
        ("stop-sequence", {"oai": "stop", "ant": "stop"}),
        ("content-filter", {"oai": "content_filter", "ant": "content_filter"}),
        ("refusal", {"oai": "stop", "ant": "content_filter"}),
    ],
)
def test_finish_reasons(client, provider, base, finishes, streamed):
    answer = create(client, f"{provider}/{base}", streamed)
    assert answer.finish == finishes[provider]
    assert (answer.refusal == "I cannot help with that.") == (base == "refusal")


@both_ways
def test_output_cap_reaches_the_provider(client, provider, streamed):
    answer = create(client, f"{provider}/text", streamed, max_completion_tokens=3)
    assert (answer.text, answer.finish, answer.usage.completion_tokens) == ("Hello from the ", "length", 3)


def test_stop_and_system_reach_the_provider(client, testkit, provider):
    model, name = named(provider, "text")
    messages = [{"role": "system", "content": "Be brief."}, *HELLO]
    client.chat.completions.create(model=name, messages=messages, stop=["END", "FIN"])
    body = testkit.records(model)[0]["body"]
    if provider == "oai":
        assert (body["stop"], body["messages"]) == (["END", "FIN"], messages)
    else:
        assert body["stop_sequences"] == ["END", "FIN"]
        assert "Be brief." in json.dumps(body["system"])
        assert [message["role"] for message in body["messages"]] == ["user"]


def test_images_reach_the_provider(client, testkit, provider):
    model, name = named(provider, "echo")
    content = [{"type": "text", "text": "Look here"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    answer = client.chat.completions.create(model=name, messages=[{"role": "user", "content": content}])
    assert answer.choices[0].message.content == "Look here"
    assert PIXEL.partition(",")[2] in json.dumps(testkit.records(model)[0]["body"])


# The class, the status and (where the dialects name one) the code that a chat client sees. A provider that
# refuses Tollgate's own credential is Tollgate's trouble, not the caller's: 502. A provider's 500 may be told from
# one of Tollgate's own by 502.
ERRORS = {
    "e400": (openai.BadRequestError, 400, None),
    "e400-context": (openai.BadRequestError, 400, "context_length_exceeded"),
    "e401": (openai.InternalServerError, 502, "upstream_auth"),
    "e403": (openai.InternalServerError, 502, "upstream_auth"),
    "e404": (openai.NotFoundError, 404, "model_not_found"),
    "e429": (openai.RateLimitError, 429, None),
    "e429-quota": (openai.RateLimitError, 429, None),
    "e500": (openai.InternalServerError, (500, 502), None),
    "e503": (openai.InternalServerError, 503, None),
    "e529": (openai.InternalServerError, 503, None),
    "html": (openai.InternalServerError, 502, "upstream_invalid"),
    "redirect": (openai.InternalServerError, 502, None),
}


@both_ways
@pytest.mark.parametrize("base", ERRORS)
def test_typed_exceptions(client, provider, base, streamed):
    error, status, code = ERRORS[base]
    with pytest.raises(error) as caught:
        create(client, f"{provider}/{base}", streamed)
    assert caught.value.status_code in (status if isinstance(status, tuple) else (status,))
    assert caught.value.request_id
    assert {"message", "type", "param", "code"} <= set(caught.value.body)
    if code is not None:
        assert caught.value.code == code


@pytest.mark.parametrize("base", ["e400", "e404", "e401", "e429-quota"])
def test_permanent_errors_are_tried_once(client, testkit, provider, base):
    model, name = named(provider, base)
    with pytest.raises(openai.APIStatusError):
        client.with_options(max_retries=0).chat.completions.create(model=name, messages=HELLO)
    assert testkit.attempts(model) == 1


def earn_retries(client):
    """Retries are limited to about a tenth of the calls, so that an outage is not multiplied: be healthy first."""
    for _ in range(25):
        client.chat.completions.create(model="oai/size:1", messages=HELLO)


@pytest.mark.parametrize("base", ["e429-once", "e500-once", "e502-once", "e503-once", "e529-once"])
@both_ways
def test_tollgate_retries_for_the_client(client, testkit, provider, base, streamed):
    earn_retries(client)
    model, name = named(provider, base)
    assert create(client, name, streamed).text == SHORT_TEXT
    assert testkit.attempts(model) == 2


@pytest.mark.parametrize("base", ["e500", "e503", "e529"])
def test_retries_are_not_multiplied(client, testkit, provider, base):
    earn_retries(client)
    model, name = named(provider, base)
    with pytest.raises(openai.InternalServerError) as caught:
        client.with_options(max_retries=2).chat.completions.create(model=name, messages=HELLO)
    assert caught.value.response.headers["x-should-retry"] == "false"
    # Tollgate's own attempts and no more: the SDK was told not to add its two.
    assert testkit.attempts(model) in (2, 3)


@pytest.mark.parametrize("base", ["error-mid-stream", "cut-mid-text", "cut-mid-tool", "no-done-no-finish", "end-at:900", "cut-at:900", "reset-at:900", "malformed", "bad-framing"])
def test_broken_stream_raises_after_its_text(client, testkit, provider, base):
    if base == "no-done-no-finish":
        base = register_endless(testkit)
    folded = Folded()
    # What is not JSON may also reach the SDK's own parser: the caller learns of it either way.
    with pytest.raises((openai.APIError, ValueError) if base == "malformed" else openai.APIError):
        fold(client.chat.completions.create(model=f"{provider}/{base}", messages=HELLO, stream=True), folded)
    assert folded.finish is None


def register_endless(testkit):
    """A stream that ends well framed, with neither finish reason nor end marker."""
    return testkit.register(
        {
            "name": "endless-" + tag(),
            "reply": [{"type": "text", "text": SHORT_TEXT}],
            "faults": [{"kind": "no_done"}, {"kind": "no_finish"}],
        }
    )


@pytest.mark.parametrize("base", ["error-after-200", "cut-before-first", "cut-in-head", "empty"])
def test_failure_before_the_first_event_is_an_error_status(client, provider, base):
    with pytest.raises(openai.APIStatusError) as caught:
        fold(client.chat.completions.create(model=f"{provider}/{base}", messages=HELLO, stream=True))
    assert caught.value.status_code >= 500


def test_leaving_cancels_the_upstream(client, testkit, provider):
    model, name = named(provider, "hang-mid-stream")
    stream = client.chat.completions.create(model=name, messages=HELLO, stream=True)
    for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    stream.close()
    assert testkit.ended(model)["end"] == "client_closed"


def test_credentials_stay_apart(client, testkit, tollgate, provider):
    model, name = named(provider, "text")
    client.chat.completions.create(model=name, messages=HELLO)
    assert tollgate.key not in json.dumps(testkit.records(model))


@pytest.mark.anyio
async def test_asynchronous_client(tollgate, provider):
    async with openai.AsyncOpenAI(base_url=f"{tollgate.url}/v1", api_key=tollgate.key) as client:
        stream = await client.chat.completions.create(model=f"{provider}/text", messages=HELLO, stream=True)
        texts = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
    assert "".join(texts) == SHORT_TEXT
