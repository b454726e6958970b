"""Trains one small vocabulary of each kind and writes it as a GGUF file that holds nothing else.

Owns which pre-tokenizer belongs to which `tokenizer.ggml.pre`. The patterns are those of the models' tokenizer.json:
openai/gpt-2, HuggingFaceTB/SmolLM, meta-llama/Meta-Llama-3, Qwen/Qwen2, mistralai/Mistral-Nemo, openai o200k_base.
"""

import io
import json

import gguf
import sentencepiece
import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers

CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
REST_SLASH = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LEAD = r"[^\r\n\p{L}\p{N}]?"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"

PATTERNS = {
    "llama-bpe": rf"{CONTRACTION}|{LEAD}\p{{L}}+|\p{{N}}{{1,3}}|{REST}",
    "qwen2": rf"{CONTRACTION}|{LEAD}\p{{L}}+|\p{{N}}|{REST}",
    "tekken": rf"{LEAD}{UPPER}*{LOWER}+|{LEAD}{UPPER}+{LOWER}*|\p{{N}}|{REST_SLASH}",
    "gpt-4o": rf"{LEAD}{UPPER}*{LOWER}+{CONTRACTION}?|{LEAD}{UPPER}+{LOWER}*{CONTRACTION}?|\p{{N}}{{1,3}}|{REST_SLASH}",
}
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
USER_DEFINED = ["<tool_call>", "</tool_call>"]


def pre_tokenizer(pre):
    if pre == "gpt-2":
        return pre_tokenizers.ByteLevel(add_prefix_space=False)
    if pre == "smollm":
        return pre_tokenizers.Sequence([
            pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERNS[pre]), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def byte_level(pre, texts, path, size=520):
    """A vocabulary of byte-level BPE. Pieces that are tokens but no merge makes are there for `ignore_merges`."""
    bpe = tokenizers.Tokenizer(models.BPE(ignore_merges=pre in ("llama-bpe", "tekken")))
    bpe.pre_tokenizer = pre_tokenizer(pre)
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=size, special_tokens=CONTROL, show_progress=False, min_frequency=2,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    bpe.add_tokens(USER_DEFINED)
    if pre in ("llama-bpe", "tekken"):
        bpe = with_whole_pieces(bpe, ["Ġqueue", "ĠLeute", "Bridge"])
    described = json.loads(bpe.to_str())
    tokens = [bpe.id_to_token(i) for i in range(bpe.get_vocab_size())]
    kinds = {entry["id"]: entry["special"] for entry in described["added_tokens"]}
    out = start(path, "gpt2", tokens, [
        gguf.TokenType.NORMAL if i not in kinds
        else gguf.TokenType.CONTROL if kinds[i] else gguf.TokenType.USER_DEFINED for i in range(len(tokens))])
    out.add_tokenizer_pre(pre)
    out.add_token_merges([" ".join(merge) for merge in described["model"]["merges"]])
    out.add_bos_token_id(bpe.token_to_id("<|im_start|>"))
    out.add_eos_token_id(bpe.token_to_id("<|im_end|>"))
    out.add_add_bos_token(pre == "llama-bpe")
    if pre == "qwen2":
        # What a template writes is guarded: the other files have none.
        out.add_chat_template(
            "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
            "{% endfor %}{{ '<tool_call>' }}")
    finish(out)
    return bpe


def with_whole_pieces(bpe, pieces):
    described = json.loads(bpe.to_str())
    vocabulary = described["model"]["vocab"]
    for piece in pieces:
        if piece not in vocabulary:
            vocabulary[piece] = bpe.get_vocab_size() + 100
    added = {entry["content"] for entry in described["added_tokens"]}
    order = [text for text, _ in sorted(vocabulary.items(), key=lambda item: item[1]) if text not in USER_DEFINED]
    ids = {text: i for i, text in enumerate([*order, *USER_DEFINED])}
    described["model"]["vocab"] = {text: i for text, i in ids.items() if text not in USER_DEFINED}
    for entry in described["added_tokens"]:
        entry["id"] = ids[entry["content"]]
    assert added <= set(ids)
    return tokenizers.Tokenizer.from_str(json.dumps(described))


def sentence_piece(texts, path, add_space_prefix, user_defined=(), size=640):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, model_type="bpe", vocab_size=size, byte_fallback=True,
        character_coverage=0.98, normalization_rule_name="identity", remove_extra_whitespaces=False,
        add_dummy_prefix=add_space_prefix, split_digits=True, allow_whitespace_only_pieces=True, minloglevel=2,
        user_defined_symbols=list(user_defined), max_sentence_length=100_000, num_threads=1)
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())

    def kind(i):
        if pieces.is_byte(i):
            return gguf.TokenType.BYTE
        if pieces.is_unknown(i):
            return gguf.TokenType.UNKNOWN
        if pieces.is_control(i):
            return gguf.TokenType.CONTROL
        return gguf.TokenType.USER_DEFINED if pieces.id_to_piece(i) in user_defined else gguf.TokenType.NORMAL

    # User-defined pieces are looked for in the text itself, so their spaces are written as such.
    texts = [pieces.id_to_piece(i) for i in range(len(pieces))]
    texts = [text.replace("▁", " ") if text in user_defined else text for text in texts]
    out = start(path, "llama", texts, [kind(i) for i in range(len(pieces))])
    out.add_tokenizer_pre("default")
    out.add_token_scores([pieces.get_score(i) for i in range(len(pieces))])
    out.add_bos_token_id(pieces.bos_id())
    out.add_eos_token_id(pieces.eos_id())
    out.add_unk_token_id(pieces.unk_id())
    out.add_add_space_prefix(add_space_prefix)
    if user_defined:
        out.add_chat_template("{% for message in messages %}\n\n  {{ message.content }}\n\n{% endfor %}")
    out.add_add_bos_token(True)
    out.add_add_eos_token(False)
    finish(out)
    return pieces


def word_piece(texts, path, lowercase, size=720):
    words = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    words.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words.train_from_iterator(texts, trainers.WordPieceTrainer(
        vocab_size=size, show_progress=False, limit_alphabet=420,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    tokens = [words.id_to_token(i) for i in range(words.get_vocab_size())]
    out = start(
        path, "bert",
        [t if i < 5 else t[2:] if t.startswith("##") else "▁" + t for i, t in enumerate(tokens)],
        [gguf.TokenType.CONTROL if i < 5 else gguf.TokenType.NORMAL for i in range(len(tokens))])
    out.add_tokenizer_pre("default")
    out.add_token_type_count(2)
    out.add_pad_token_id(0)
    out.add_unk_token_id(1)
    out.add_bos_token_id(2)
    out.add_sep_token_id(3)
    out.add_mask_token_id(4)
    out.add_bool("tokenizer.ggml.normalizer.lowercase", lowercase)
    finish(out)
    return words


def start(path, model, tokens, kinds):
    out = gguf.GGUFWriter(str(path), "bert" if model == "bert" else "llama")
    out.add_name("vocabulary")
    # A file without these is refused by llama.cpp even where only the vocabulary is read.
    out.add_context_length(64)
    out.add_embedding_length(32)
    out.add_block_count(1)
    out.add_feed_forward_length(32)
    out.add_head_count(1)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_layer_norm_eps(1e-5)
    out.add_causal_attention(model != "bert")
    out.add_vocab_size(len(tokens))
    out.add_tokenizer_model(model)
    out.add_token_list(tokens)
    out.add_token_types(kinds)
    return out


def finish(out):
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
