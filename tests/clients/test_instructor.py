"""instructor: an object filled from a streamed tool call, with two vendors' clients on each dialect of provider."""

import secrets

import anthropic
import instructor
import openai
import pytest
from harness import PROVIDERS, script_for
from pydantic import BaseModel
from received import tool_names


class City(BaseModel):
    name: str
    people: int


def openai_client(tollgate):
    return instructor.from_openai(openai.OpenAI(base_url=f"{tollgate.url}/v1", api_key=tollgate.key, max_retries=0))


def anthropic_client(tollgate):
    return instructor.from_anthropic(anthropic.Anthropic(base_url=tollgate.url, api_key=tollgate.key, max_retries=0))


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("client", [openai_client, anthropic_client])
def test_object_from_a_streamed_call(testkit, tollgate, client, provider):
    city = f"Paris {secrets.token_hex(8)}"
    # The name that instructor gives to the tool of a partial `City`.
    name = testkit.two_steps(script_for(provider), "PartialCity", {"name": city, "people": 2100000}, "Nobody asks for this.")

    states = list(
        client(tollgate).create_partial(
            model=f"{provider}/{name}",
            response_model=City,
            max_tokens=1000,
            messages=[{"role": "user", "content": "How many people live in Paris?"}],
        )
    )

    assert states[-1].model_dump() == {"name": city, "people": 2100000}
    # Gemini sends a call in one piece; elsewhere the object fills up as the stream goes on.
    assert provider == "gem" or (len(states) > 2 and states[0].people is None)
    [asked] = testkit.exchange(name, count=1)
    assert (asked["dialect"], asked["stream"]) == (PROVIDERS[provider], True)
    assert tool_names(asked) == ["PartialCity"]
