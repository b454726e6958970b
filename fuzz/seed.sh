#!/usr/bin/env bash
# Fills fuzz/corpus with seeds made from the fixtures of the dialects. Run it before `cargo fuzz run`:
#   cargo install cargo-fuzz --locked
#   fuzz/seed.sh && cargo +nightly fuzz run decoder
set -euo pipefail
cd "$(dirname "$0")"
exec python3 - <<'PYTHON'
import hashlib, json, pathlib

fixtures = pathlib.Path("../crates/dialect/src")
corpus = pathlib.Path("corpus")
# The order of the targets' own list of dialects.
dialects = {"openai_chat": 0, "openai_completions": 1, "openai_embeddings": 2, "openai_responses": 3, "anthropic": 4, "gemini": 5}

def seed(target, data):
    folder = corpus / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)

def between(text, start):
    """The JSON value that begins at `start`, as it is written."""
    _, end = json.JSONDecoder().raw_decode(text, start)
    return text[start:end]

for folder, number in dialects.items():
    tag = bytes([number])
    for path in sorted((fixtures / folder / "fixtures").glob("*/*")):
        data = path.read_bytes()
        kind = path.parent.name
        if path.suffix == ".snap":
            continue
        if kind == "request":
            text = data.decode()
            body = between(text, text.index('"body": ') + len('"body": ')).encode()
            seed("raw_object", body)
            seed("read_head", tag + body)
            seed("translate_request", tag + body)
        elif kind == "stream":
            seed("sse_framer", b"\x07" + data)
            seed("decoder", tag + data)
        elif kind == "response":
            seed("parse_response", tag + data)
        elif kind == "error":
            case = json.loads(data)
            body = json.dumps(case["body"]) if "body" in case else case["text"]
            seed("parse_error", tag + (case["status"] - 200).to_bytes(2, "big") + body.encode())
seed("read_head", b'\x02{"model":"m","input":["a","b"]}')
text = b'{"content":{"parts":[{"text":"a"}]},"outputDimensionality":5}'
seed("read_head", b"\x05" + text)
seed("read_head", b'\x06{"requests":[' + text + b"]}")
seed("gguf", b"GGUF\x03\x00\x00\x00" + bytes(16))
for path in pathlib.Path("..").glob("crates/engine/**/*.gguf"):
    seed("gguf", path.read_bytes()[:65536])
for folder in sorted(corpus.iterdir()):
    print(f"{folder}: {sum(1 for _ in folder.iterdir())} seeds")
PYTHON
