"""The official OpenAI SDK straight at the scripted provider: proves that the script speaks OpenAI's shapes."""

import json

import httpx2
import openai
import pytest
from harness import SHORT_TEXT, THINKING_TEXT, tag
from openai_calls import ARGUMENTS, CLOCK, HELLO, NO_ARGUMENTS, PIXEL, WEATHER, City, Folded, fold, tool_loop


@pytest.fixture(scope="module")
def client(testkit):
    return openai.OpenAI(base_url=testkit.openai, api_key="test-openai", max_retries=0)


def create(client, model, streamed, **extra):
    """One chat answer, streamed or not, folded alike."""
    request = {"model": model, "messages": HELLO, **extra}
    if streamed:
        return fold(client.chat.completions.create(**request, stream=True, stream_options={"include_usage": True}))
    answer = client.chat.completions.create(**request)
    message = answer.choices[0].message
    calls = {
        index: {"id": call.id, "name": call.function.name, "arguments": call.function.arguments}
        for index, call in enumerate(message.tool_calls or [])
    }
    return Folded(
        text=message.content or "",
        reasoning=getattr(message, "reasoning_content", None) or "",
        refusal=message.refusal or "",
        calls=calls,
        finish=answer.choices[0].finish_reason,
        usage=answer.usage,
    )


both_ways = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


@both_ways
def test_text_with_usage(client, streamed):
    answer = create(client, "text", streamed)
    assert (answer.text, answer.finish) == (SHORT_TEXT, "stop")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (5, 13, 18)


@both_ways
@pytest.mark.parametrize("model", ["unicode", "bytewise", "crlf", "comments"])
def test_awkward_bytes_decode_to_the_same_text(client, model, streamed):
    assert create(client, model, streamed).text == create(client, "unicode", False).text


@both_ways
def test_one_tool_call(client, streamed):
    answer = create(client, "tool", streamed, tools=[WEATHER, CLOCK])
    assert ([call["name"] for call in answer.calls.values()], answer.arguments()) == (["get_weather"], [ARGUMENTS])
    assert answer.finish == "tool_calls"


@both_ways
def test_parallel_tool_calls(client, streamed):
    answer = create(client, "parallel-tools", streamed, tools=[WEATHER, CLOCK])
    assert answer.arguments() == [ARGUMENTS, {"zone": "Paris"}]
    assert len({call["id"] for call in answer.calls.values()}) == 2


def test_parallel_calls_can_be_switched_off(client):
    answer = create(client, "parallel-tools", False, tools=[WEATHER, CLOCK], parallel_tool_calls=False)
    assert len(answer.calls) == 1


@both_ways
def test_tool_without_arguments(client, streamed):
    assert create(client, "tool-no-args", streamed, tools=[NO_ARGUMENTS]).arguments() == [{}]


def test_named_tool_choice(client):
    choice = {"type": "function", "function": {"name": "get_time"}}
    answer = create(client, "tool", False, tools=[WEATHER, CLOCK], tool_choice=choice)
    assert answer.calls[0]["name"] == "get_time"


@pytest.mark.parametrize("model", ["tool", "parallel-tools"])
def test_two_step_tool_loop(client, model):
    first, second = tool_loop(client, model, [WEATHER, CLOCK])
    expected = " | ".join(f"22 degrees ({index})" for index in range(len(first.choices[0].message.tool_calls)))
    assert second.choices[0].message.content == f"The tool said: {expected}"


def test_parsed_structured_output(client):
    answer = client.chat.completions.parse(model="json", messages=HELLO, response_format=City)
    assert answer.choices[0].message.parsed == City(name="Paris", population=7, tags=["Paris"])


def test_streamed_structured_output(client):
    with client.chat.completions.stream(model="json", messages=HELLO, response_format=City) as stream:
        answer = stream.get_final_completion()
    assert answer.choices[0].message.parsed == City(name="Paris", population=7, tags=["Paris"])


@both_ways
def test_thinking_shows_as_reasoning_content(client, streamed):
    answer = create(client, "thinking", streamed)
    assert (answer.reasoning, answer.text) == (THINKING_TEXT, SHORT_TEXT)
    assert answer.usage.completion_tokens_details.reasoning_tokens == 14


@both_ways
def test_cached_usage(client, streamed):
    usage = create(client, "cached", streamed).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (1250, 40, 1290)
    assert usage.prompt_tokens_details.cached_tokens == 1000
    assert usage.prompt_tokens_details.cache_write_tokens == 230


@both_ways
@pytest.mark.parametrize(
    ("model", "finish"),
    [("max-tokens", "length"), ("stop-sequence", "stop"), ("content-filter", "content_filter"), ("context-full", "length")],
)
def test_finish_reasons(client, model, finish, streamed):
    assert create(client, model, streamed).finish == finish


@both_ways
def test_refusal(client, streamed):
    answer = create(client, "refusal", streamed)
    assert (answer.refusal, answer.text, answer.finish) == ("I cannot help with that.", "", "stop")


@both_ways
def test_output_cap_is_honoured(client, streamed):
    answer = create(client, "text", streamed, max_completion_tokens=3)
    assert (answer.text, answer.finish, answer.usage.completion_tokens) == ("Hello from the ", "length", 3)


def test_several_choices(client):
    answer = client.chat.completions.create(model="text", messages=HELLO, n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert answer.usage.completion_tokens == 39


@pytest.mark.parametrize(
    ("model", "error", "code"),
    [
        ("e400", openai.BadRequestError, None),
        ("e400-context", openai.BadRequestError, "context_length_exceeded"),
        ("e401", openai.AuthenticationError, "invalid_api_key"),
        ("e403", openai.PermissionDeniedError, "unsupported_country_region_territory"),
        ("e404", openai.NotFoundError, "model_not_found"),
        ("e409", openai.ConflictError, None),
        ("e422", openai.UnprocessableEntityError, None),
        ("e429", openai.RateLimitError, "rate_limit_exceeded"),
        ("e429-quota", openai.RateLimitError, "insufficient_quota"),
        ("e500", openai.InternalServerError, None),
        ("e503", openai.InternalServerError, None),
        ("e529", openai.InternalServerError, None),
    ],
)
def test_typed_exceptions(client, model, error, code):
    with pytest.raises(error) as caught:
        client.chat.completions.create(model=model, messages=HELLO)
    assert (caught.value.code, caught.value.status_code) == (code, int(model[1:4]))
    assert caught.value.request_id.startswith("req_")


@pytest.mark.parametrize("base", ["e429-once", "e500-once", "e503-once", "e529-once"])
def test_sdk_retry_succeeds(client, testkit, base):
    model = f"{base}:{tag()}"
    answer = client.with_options(max_retries=2).chat.completions.create(model=model, messages=HELLO)
    assert answer.choices[0].message.content == SHORT_TEXT
    assert [record["status"] for record in testkit.records(model)] == [int(base[1:4]), 200]


def test_retry_after_is_sent(client):
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="e429:7", messages=HELLO)
    assert caught.value.response.headers["retry-after"] == "7"


@pytest.mark.parametrize("model", ["cut-before-first", "cut-mid-text", "cut-mid-tool", "cut-at:700", "reset-at:700", "bad-framing"])
def test_cut_stream_raises(client, model):
    with pytest.raises((openai.APIConnectionError, httpx2.TransportError)):
        fold(client.chat.completions.create(model=model, messages=HELLO, stream=True))


@pytest.mark.parametrize("model", ["error-after-200", "error-mid-stream"])
def test_error_event_raises(client, model):
    with pytest.raises(openai.APIError, match="failed mid-stream"):
        fold(client.chat.completions.create(model=model, messages=HELLO, stream=True))


def test_leaving_a_silent_stream_is_recorded(client, testkit):
    model = f"hang-mid-stream:{tag()}"
    stream = client.chat.completions.create(model=model, messages=HELLO, stream=True)
    next(iter(stream))
    stream.close()
    record = testkit.ended(model)
    assert (record["end"], record["events"], record["billed"]["output"]) == ("client_closed", 5, 4)


def test_images_and_developer_messages_are_accepted(client):
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Look here"}, {"type": "image_url", "image_url": {"url": PIXEL}}]},
    ]
    assert client.chat.completions.create(model="echo", messages=messages).choices[0].message.content == "Look here"


def test_legacy_completion(client):
    answer = client.completions.create(model="text", prompt="Once upon", max_tokens=64)
    streamed = client.completions.create(model="text", prompt="Once upon", max_tokens=64, stream=True)
    assert answer.choices[0].text == "".join(chunk.choices[0].text for chunk in streamed) == SHORT_TEXT


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings(client, encoding):
    answer = client.embeddings.create(model="text-embedding-3-small", input=["one two", "three"], dimensions=8, encoding_format=encoding)
    assert [row.index for row in answer.data] == [0, 1]
    assert answer.usage.prompt_tokens == 3
    if encoding == "float":
        decoded = client.embeddings.create(model="text-embedding-3-small", input=["one two", "three"], dimensions=8)
        assert decoded.data[0].embedding == pytest.approx(answer.data[0].embedding)


def test_models(client):
    assert "thinking-tool" in [model.id for model in client.models.list()]
    assert client.models.retrieve("text").id == "text"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


REFUSED = {
    "unknown field": ({"made_up": 1}, "Unknown parameter: 'made_up'."),
    "five stops": ({"stop": ["a", "b", "c", "d", "e"]}, "maximum length 4"),
    "stream options without stream": ({"stream_options": {"include_usage": True}}, "only allowed when 'stream' is enabled"),
    "temperature": ({"temperature": 3}, "Expected a value <= 2"),
    "role": ({"messages": [{"role": "robot", "content": "x"}]}, "Supported values are"),
    "no messages": ({"messages": []}, "empty array"),
    "unanswered call": (
        {
            "messages": [
                *HELLO,
                {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
                *HELLO,
            ]
        },
        "must be followed by tool messages",
    ),
    "orphan tool message": ({"messages": [*HELLO, {"role": "tool", "tool_call_id": "c9", "content": "x"}]}, "must be a response to a preceeding message"),
    "tool choice without tools": ({"tool_choice": "auto"}, "only allowed when 'tools' are specified"),
    "json without the word": ({"response_format": {"type": "json_object"}}, "must contain the word 'json'"),
    "open strict schema": (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "strict": True, "schema": {"type": "object", "properties": {"a": {"type": "string"}}}}}},
        "additionalProperties",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_requests_are_refused(client, case):
    change, message = REFUSED[case]
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/chat/completions", body={"model": "text", "messages": HELLO, **change}, cast_to=object)
    assert message in json.dumps(caught.value.body)


@pytest.mark.parametrize("key", ["sk-wrong", "x"])
def test_wrong_key(client, key):
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key=key).chat.completions.create(model="text", messages=HELLO)


def test_credentials_are_not_recorded(client, testkit):
    model = f"text:{tag()}"
    client.chat.completions.create(model=model, messages=HELLO)
    recorded = json.dumps(testkit.records(model))
    assert "test-openai" not in recorded
    assert "Bearer sha256:" in recorded


@pytest.mark.anyio
async def test_asynchronous_client(testkit):
    async with openai.AsyncOpenAI(base_url=testkit.openai, api_key="test-openai") as client:
        stream = await client.chat.completions.create(model="text", messages=HELLO, stream=True)
        texts = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(texts) == SHORT_TEXT
