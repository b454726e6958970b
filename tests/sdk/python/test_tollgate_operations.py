"""OpenAI's operations beside conversation, through Tollgate: images, audio, moderations, files, fine-tuning. What a
key made belongs to it: another key is told that it is not there."""

import base64
import io
import json

import openai
import pytest
from harness import tag
from openai_calls import PIXEL

PNG = ("pixel.png", base64.b64decode(PIXEL.partition(",")[2]), "image/png")
# 0.1 s of silence: a WAV of 8 kHz, 8 bit, mono.
SOUND = b"RIFF\x44\x03\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x40\x1f\x00\x00\x01\x00\x08\x00data\x20\x03\x00\x00"
WAV = ("sound.wav", SOUND + b"\x80" * 800, "audio/wav")
PROVIDER = "openai"


@pytest.fixture(scope="module")
def client(tollgate):
    return openai.OpenAI(base_url=f"{tollgate.url}/v1", api_key=tollgate.key, max_retries=0)


@pytest.fixture(scope="module")
def stranger(tollgate):
    return openai.OpenAI(base_url=f"{tollgate.url}/v1", api_key=tollgate.other_key, max_retries=0)


def lines(n):
    turn = {"messages": [{"role": "user", "content": "2+2"}, {"role": "assistant", "content": "4"}]}
    return ("train.jsonl", ((json.dumps(turn) + "\n") * n).encode(), "application/jsonl")


# === Images ===


def test_image_generation(client):
    answer = client.images.generate(model=f"{PROVIDER}/gpt-image-1", prompt="A fox", n=2)
    assert len(answer.data) == 2
    assert all(base64.b64decode(image.b64_json) for image in answer.data)


def test_image_edit(client):
    answer = client.images.edit(model=f"{PROVIDER}/gpt-image-1", image=PNG, prompt="Make it red")
    assert base64.b64decode(answer.data[0].b64_json)


def test_image_edit_of_several(client):
    answer = client.images.edit(model=f"{PROVIDER}/gpt-image-1", image=[PNG, PNG], mask=PNG, prompt="Join them")
    assert base64.b64decode(answer.data[0].b64_json)


def test_image_variation(client):
    answer = client.images.create_variation(model=f"{PROVIDER}/dall-e-2", image=PNG, response_format="b64_json")
    assert base64.b64decode(answer.data[0].b64_json)


def test_image_stream(client):
    events = list(client.images.generate(model=f"{PROVIDER}/gpt-image-1", prompt="A fox", stream=True, partial_images=1))
    assert events[-1].type == "image_generation.completed"
    assert base64.b64decode(events[-1].b64_json)


# === Audio ===


@pytest.mark.parametrize("form", ["json", "verbose_json", "text", "srt", "vtt"])
def test_transcription(client, form):
    answer = client.audio.transcriptions.create(model=f"{PROVIDER}/whisper-1", file=WAV, response_format=form)
    assert (answer if isinstance(answer, str) else answer.text).strip()


def test_transcription_stream(client):
    stream = client.audio.transcriptions.create(model=f"{PROVIDER}/gpt-4o-transcribe", file=WAV, stream=True)
    events = list(stream)
    assert events[-1].type == "transcript.text.done"
    assert "".join(event.delta for event in events[:-1]) == events[-1].text


def test_translation(client):
    assert client.audio.translations.create(model=f"{PROVIDER}/whisper-1", file=WAV).text


def test_speech(client):
    audio = client.audio.speech.create(model=f"{PROVIDER}/tts-1", voice="alloy", input="Hello there", response_format="wav")
    assert len(audio.content) > 100


def test_speech_comes_in_pieces(client):
    with client.audio.speech.with_streaming_response.create(
        model=f"{PROVIDER}/tts-1", voice="alloy", input="Hello there " * 20, response_format="wav"
    ) as answer:
        whole = b"".join(answer.iter_bytes(512))
    assert len(whole) > 512


# === Moderation ===


def test_moderation(client):
    answer = client.moderations.create(model=f"{PROVIDER}/omni-moderation-latest", input=["fine", "also fine"])
    assert len(answer.results) == 2
    assert answer.results[0].flagged is False


# === Errors ===


@pytest.mark.parametrize(("script", "error"), [("e404", openai.NotFoundError), ("e429:30", openai.RateLimitError), ("e500", openai.InternalServerError)])
def test_errors_keep_their_class(client, script, error):
    with pytest.raises(error):
        client.images.generate(model=f"{PROVIDER}/{script}:{tag()}", prompt="A fox")


def test_an_operation_that_the_provider_lacks(client):
    with pytest.raises(openai.APIStatusError) as caught:
        client.images.generate(model="ant/text", prompt="A fox")
    assert caught.value.status_code in (400, 404) and "ant" in str(caught.value)


# === Files ===


@pytest.fixture(scope="module")
def file(client):
    return client.files.create(file=lines(12), purpose="fine-tune")


def test_a_file_comes_back(client, file):
    assert (file.filename, file.purpose, file.bytes) == ("train.jsonl", "fine-tune", len(lines(12)[1]))
    assert client.files.retrieve(file.id).id == file.id
    assert client.files.content(file.id).read() == lines(12)[1]
    assert file.id in [listed.id for listed in client.files.list()]


def test_a_large_file(client):
    body = b"x" * 3_000_000
    made = client.files.create(file=("big.txt", io.BytesIO(body)), purpose="user_data")
    assert client.files.content(made.id).read() == body


def test_a_deleted_file_is_gone(client):
    made = client.files.create(file=lines(10), purpose="fine-tune")
    assert client.files.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(made.id)


def test_files_of_another_key(client, stranger, file):
    for look in (stranger.files.retrieve, stranger.files.content, stranger.files.delete):
        with pytest.raises(openai.NotFoundError):
            look(file.id)
    assert file.id not in [listed.id for listed in stranger.files.list()]
    assert client.files.retrieve(file.id).id == file.id


# === Fine-tuning ===


@pytest.fixture(scope="module")
def job(client, file):
    return client.fine_tuning.jobs.create(model=f"{PROVIDER}/gpt-4o-mini", training_file=file.id, suffix="grid")


def test_a_job_runs(client, job):
    assert job.id in [listed.id for listed in client.fine_tuning.jobs.list()]
    kept = client.fine_tuning.jobs.retrieve(job.id)
    assert kept.id == job.id and kept.status in ("validating_files", "queued", "running", "succeeded")
    assert client.fine_tuning.jobs.list_events(job.id).data
    assert client.fine_tuning.jobs.checkpoints.list(job.id).data is not None


def test_a_job_is_cancelled(client, file):
    made = client.fine_tuning.jobs.create(model=f"{PROVIDER}/gpt-4o-mini", training_file=file.id)
    assert client.fine_tuning.jobs.cancel(made.id).status == "cancelled"


def test_jobs_of_another_key(client, stranger, job, file):
    for look in (
        stranger.fine_tuning.jobs.retrieve,
        stranger.fine_tuning.jobs.cancel,
        stranger.fine_tuning.jobs.list_events,
        stranger.fine_tuning.jobs.checkpoints.list,
    ):
        with pytest.raises(openai.NotFoundError):
            look(job.id)
    assert job.id not in [listed.id for listed in stranger.fine_tuning.jobs.list()]
    with pytest.raises((openai.NotFoundError, openai.BadRequestError)):
        stranger.fine_tuning.jobs.create(model=f"{PROVIDER}/gpt-4o-mini", training_file=file.id)


def test_a_tuned_model_is_deleted_by_its_maker_alone(client, stranger, file):
    made = client.fine_tuning.jobs.create(model=f"{PROVIDER}/gpt-4o-mini", training_file=file.id, suffix=tag())
    for _ in range(10):
        # The scripted provider goes one step further at each look.
        made = client.fine_tuning.jobs.retrieve(made.id)
        if made.fine_tuned_model:
            break
    assert made.status == "succeeded"
    with pytest.raises(openai.NotFoundError):
        stranger.models.delete(made.fine_tuned_model)
    assert client.models.delete(made.fine_tuned_model).deleted
    with pytest.raises(openai.NotFoundError):
        client.models.delete(made.fine_tuned_model)
