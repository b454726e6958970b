"""Writes `crates/engine/tests/vectors/tokenizers`: vocabularies of each kind, and the ids of the corpus in each.

The ids are those of the library that trained the vocabulary. llama.cpp reads the same file and must agree; where it is
known not to, `ids_llama` holds its own ids, so that the difference stays visible.
"""

import json
import pathlib
import sys

import llama_cpp

import corpus
import vocabularies

OUT = pathlib.Path(__file__).resolve().parents[3] / "crates/engine/tests/vectors/tokenizers"


def llama(path):
    model = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)

    def encode(text, add_special=False):
        return model.tokenize(text.encode(), add_bos=add_special, special=False)

    return encode


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for old in OUT.glob("*"):
        old.unlink()
    texts = corpus.training()
    kinds = {}
    for pre in ["gpt-2", "smollm", "llama-bpe", "qwen2", "tekken", "gpt-4o"]:
        bpe = vocabularies.byte_level(pre, texts, OUT / f"{pre}.gguf")
        kinds[pre] = plain(bpe)
    for name, prefix, user_defined in [
        ("spm-prefix", True, []),
        ("spm-plain", False, ["\n\n", "▁▁", "▁▁▁▁", "<tool_call>"]),
    ]:
        pieces = vocabularies.sentence_piece(texts, OUT / f"{name}.gguf", prefix, user_defined)
        kinds[name] = pieces.encode
    for name, lowercase in [("bert-uncased", True), ("bert-cased", False)]:
        kinds[name] = plain(vocabularies.word_piece(texts, OUT / f"{name}.gguf", lowercase))
    cases = {}
    for name, reference in kinds.items():
        cases[name] = compare(name, reference, llama(OUT / f"{name}.gguf"))
    lines = [f"{json.dumps(name)}:{json.dumps(rows, separators=(',', ':'))}" for name, rows in cases.items()]
    document = {"texts": corpus.compared()}
    (OUT / "vectors.json").write_text(
        "{" + f"\"texts\":{json.dumps(document['texts'], ensure_ascii=True)},\n" + ",\n".join(lines) + "\n}\n")


def plain(tokenizer):
    """Without the control tokens in the text: the library finds these wherever they stand."""
    described = json.loads(tokenizer.to_str())
    described["added_tokens"] = [entry for entry in described["added_tokens"] if not entry["special"]]
    bare = type(tokenizer).from_str(json.dumps(described))
    return lambda text: bare.encode(text, add_special_tokens=False).ids


def compare(name, reference, other):
    rows = []
    for text in corpus.compared():
        row = {"ids": reference(text)}
        theirs = other(text)
        if theirs != row["ids"]:
            row["ids_llama"] = theirs
            print(f"{name}: llama.cpp differs on {text[:60]!r}", file=sys.stderr)
        framed = other(text, add_special=True)
        if framed != theirs:
            at = next(i for i in range(len(framed)) if framed[i:i + len(theirs)] == theirs)
            row["before"], row["after"] = framed[:at], framed[at + len(theirs):]
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
