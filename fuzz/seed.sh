#!/usr/bin/env bash
# Fills fuzz/corpus with seeds made from the fixtures of the dialects and of the engine. Run it before `cargo fuzz run`:
#   cargo install cargo-fuzz --locked
#   fuzz/seed.sh && cargo +nightly fuzz run decoder
set -euo pipefail
cd "$(dirname "$0")"
exec python3 - <<'PYTHON'
import hashlib, json, pathlib, re, struct

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
            body = between(text, re.search(r'"body":\s*', text).end()).encode()
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

engine = pathlib.Path("../crates/engine")
vectors = engine / "tests/vectors"
seed("gguf", b"GGUF\x03\x00\x00\x00" + bytes(16))
for path in engine.glob("**/*.gguf"):
    seed("gguf", path.read_bytes()[:65536])

def text(text):
    return struct.pack("<Q", len(text.encode())) + text.encode()

def key(name, kind, value):
    return text(name) + struct.pack("<I", kind) + value

def with_tokenizer(file, tokens, model):
    """The file of a network, with a vocabulary in place of its tokenizer called none. Tensors keep their alignment."""
    name = b"tokenizer.ggml.model"
    file = file.replace(name, name.upper())
    count = struct.pack("<Q", len(tokens))
    keys = [
        key("tokenizer.ggml.model", 8, text(model)),
        key("tokenizer.ggml.tokens", 9, struct.pack("<I", 8) + count + b"".join(map(text, tokens))),
        key("tokenizer.ggml.token_type", 9, struct.pack("<I", 5) + count + struct.pack(f"<{len(tokens)}i", 2, 3, 3, *[1] * (len(tokens) - 3))),
        key("tokenizer.ggml.scores", 9, struct.pack("<I", 6) + count + struct.pack(f"<{len(tokens)}f", *[-i for i in range(len(tokens))])),
        key("tokenizer.chat_template", 8, text("{% for m in messages %}{{ m.content }}{% endfor %}")),
    ]
    inserted = b"".join(keys)
    pad = key("pad", 8, text(""))
    pad = key("pad", 8, text(" " * (-len(inserted + pad) % 32)))
    (n_keys,) = struct.unpack_from("<Q", file, 16)
    return file[:16] + struct.pack("<Q", n_keys + len(keys) + 1) + inserted + pad + file[24:]

pieces = ["<unk>", "<s>", "</s>", *"\u2581etaoinshrdlucmfwypvbgkjqxz", "\u2581t", "he", "in", "er", "an", "re", "on", "ll", "Hello"]
pieces += [f"piece{i}" for i in range(64 - len(pieces))]
for path in vectors.glob("networks/*.gguf"):
    seed("model", with_tokenizer(path.read_bytes(), pieces, "llama"))
for path in vectors.glob("embeddings/*.gguf"):
    seed("model", path.read_bytes())

texts = [text["text"] if isinstance(text, dict) else text
         for text in json.loads((vectors / "tokenizers/vectors.json").read_text())["texts"]]
words = ["th", "the", "in", "ing", "er", " t", " the", "\u2581", "\u2581t", "\u2581the", "\u00fc", "\U0001f642", "  ", "12"]
for i, words_of in enumerate(texts):
    parts = ["\n".join(words), "in\ner", "<tool>\n<|x|>", "<|im_end|>\n<s>", words_of[:600] + "<|im_end|> <tool>"]
    seed("tokenizer", bytes([i % 3, i, 7 * i % 256]) + b"\xff".join(part.encode() for part in parts))

parts = ["sBe brief.", "uHi", "rHm.", "aHello", 'c{"a": 1}', "t22 \u00b0C", "n1", "p more", 'f{"type": "object"}', "k[1, 2]", "e"]
for path in sorted(vectors.glob("templates/*.jinja")):
    for end in (0, 3, len(parts)):
        seed("template", b"\xff".join([path.read_bytes(), *(part.encode() for part in parts[:end])]))

replies = [
    'Sure. <tool_call>\n{"name": "f", "arguments": {"a": [1, "}"]}}\n</tool_call> Done.',
    '{"name": "f", "parameters": {"x": "y"}}; <|python_tag|>{"name": "g", "parameters": {}}',
    '[TOOL_CALLS][{"name": "f", "arguments": {"a": 1}}, {"name": "g", "arguments": "{}"}]',
    '[TOOL_CALLS]f[CALL_ID]abc[ARGS]{"a": 1}',
    "<think>\nHm.\n</think>\n\nHello [THINK]x[/THINK]",
]
for reply in replies:
    for how in range(24):
        seed("reply", bytes([how, 1 + how % 5]) + reply.encode())
for folder in sorted(corpus.iterdir()):
    print(f"{folder}: {sum(1 for _ in folder.iterdir())} seeds")
PYTHON
