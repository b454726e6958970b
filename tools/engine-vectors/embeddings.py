"""Makes tiny files of models that embed, with random weights, and what others compute with them.

    pip install -r requirements-embeddings.txt
    python embeddings.py ../../crates/engine/tests/vectors/embeddings

Writes NAME.gguf and embeddings.json: for each file the token ids and the vectors of some texts. BERT's are those of
transformers with the numbers that the file stands for (tokens: `tokenizers`), the others llama.cpp's. llama.cpp's own
vectors for BERT stand beside them in how far they are off: its GELU is the `tanh` form.

    python embeddings.py --minilm FOLDER OUT ../../crates/engine/tests/vectors/embeddings

FOLDER has the published files of all-MiniLM-L6-v2 (`config.json`, `model.safetensors`, `vocab.txt`). Writes OUT/minilm-f32.gguf,
-f16 and -q8_0, and minilm.json beside the other vectors.
"""

import json
import math
import pathlib
import sys

import gguf
import llama_cpp
import numpy as np
import tokenizers
from safetensors.numpy import load_file
from transformers import BertConfig, FlaxBertModel

TEXTS = [
    "How do I add a provider?",
    "How can I connect a new provider?",
    "Größe, café & naïve RÉSUMÉS: 100% — unaffected.",
    "a",
    "東京 is the capital of 日本",
    "xylophone quartz 🙂 zzz",
    "the gateway sends the request to the provider and the provider sends the answer to the gateway " * 2,
    "What is the capital of France?",
]
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = list("abcdefghijklmnopqrstuvw0123456789.,:?&%—東京日本")
WORDS = ["the", "how", "do", "add", "provider", "can", "connect", "new", "is", "capital", "of", "gateway", "send", "##s",
         "request", "to", "and", "answer", "what", "franc", "##e", "groß", "caf", "naive", "resume", "un", "##affect",
         "##ed", "##ect", "x", "##yl", "##o", "##phone", "quart", "z", *(f"##{c}" for c in "abcdfghijklmnpqrtuvwyz")]
F32, F16, Q8_0 = (gguf.GGMLQuantizationType[name] for name in ("F32", "F16", "Q8_0"))
MEAN, CLS, LAST = gguf.PoolingType.MEAN, gguf.PoolingType.CLS, gguf.PoolingType.LAST
# A tensor of llama.cpp, and its place in transformers.
NAMES = {
    "attn_q": "attention.self.query", "attn_k": "attention.self.key", "attn_v": "attention.self.value",
    "attn_output": "attention.output.dense", "attn_output_norm": "attention.output.LayerNorm",
    "ffn_up": "intermediate.dense", "ffn_down": "output.dense", "layer_output_norm": "output.LayerNorm",
}


class Maker:
    """Writes a file, and keeps the numbers that it stands for."""

    def __init__(self, path, architecture, kind, hidden, heads, feed, layers, window, pooling):
        self.path, self.kind, self.hidden, self.feed, self.layers = path, kind, hidden, feed, layers
        self.heads, self.window, self.pooling = heads, window, pooling
        self.random, self.tensors = np.random.default_rng(7), {}
        self.writer = add = gguf.GGUFWriter(str(path), architecture)
        add.add_context_length(window)
        add.add_embedding_length(hidden)
        add.add_block_count(layers)
        add.add_feed_forward_length(feed)
        add.add_head_count(heads)
        add.add_pooling_type(pooling)

    def words(self, vocabulary, epsilon=1e-12):
        add = self.writer
        add.add_layer_norm_eps(epsilon)
        add.add_causal_attention(False)
        add.add_vocab_size(len(vocabulary))
        add.add_tokenizer_model("bert")
        add.add_tokenizer_pre("default")
        plain = [t in SPECIALS or t.startswith("[unused") for t in vocabulary]
        add.add_token_list([
            t if special else t[2:] if t.startswith("##") else "▁" + t for t, special in zip(vocabulary, plain)])
        add.add_token_types([gguf.TokenType.CONTROL if special else gguf.TokenType.NORMAL for special in plain])
        add.add_token_type_count(2)
        for name, key in (("[PAD]", "pad"), ("[UNK]", "unk"), ("[CLS]", "bos"), ("[SEP]", "sep"), ("[MASK]", "mask")):
            getattr(add, f"add_{key}_token_id")(vocabulary.index(name))

    def put(self, name, numbers, kind=F32):
        data = gguf.quants.quantize(numbers.astype(np.float32), kind)
        self.tensors[name] = gguf.quants.dequantize(data, kind).astype(np.float32)
        self.writer.add_tensor(name, data, raw_dtype=kind)

    def matrix(self, name, rows, columns):
        self.put(name, self.random.normal(0, 1.6 / math.sqrt(columns), (rows, columns)), self.kind)

    def vector(self, name, length, middle):
        self.put(name, self.random.normal(middle, 0.2, length))

    def norm(self, name):
        self.vector(name + ".weight", self.hidden, 1.0)
        self.vector(name + ".bias", self.hidden, 0.0)

    def finish(self):
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()


def vocabulary():
    return [*SPECIALS, *LETTERS, *WORDS]


def encoder(path, kind, pooling, architecture="bert", layers=1):
    """Heads are of 16 numbers, which is no multiple of what the kernels take."""
    make = Maker(path, architecture, kind, 32, 2, 64, layers, 48, pooling)
    names = vocabulary()
    make.words(names)
    bert = architecture == "bert"
    make.put("token_embd.weight", make.random.normal(0, 1, (len(names), 32)), kind)
    make.put("token_types.weight", make.random.normal(0, 0.5, (2, 32)))
    make.norm("token_embd_norm")
    if bert:
        make.put("position_embd.weight", make.random.normal(0, 0.5, (48, 32)))
    else:
        make.writer.add_rope_freq_base(1000.0)
    for i in range(layers):
        block = f"blk.{i}."
        if bert:
            for name, rows, columns in (("attn_q", 32, 32), ("attn_k", 32, 32), ("attn_v", 32, 32),
                                        ("attn_output", 32, 32), ("ffn_up", 64, 32), ("ffn_down", 32, 64)):
                make.matrix(f"{block}{name}.weight", rows, columns)
                make.vector(f"{block}{name}.bias", rows, 0.0)
        else:
            for name, rows, columns in (("attn_qkv", 96, 32), ("attn_output", 32, 32), ("ffn_gate", 64, 32),
                                        ("ffn_up", 64, 32), ("ffn_down", 32, 64)):
                make.matrix(f"{block}{name}.weight", rows, columns)
        make.norm(block + "attn_output_norm")
        make.norm(block + "layer_output_norm")
    make.finish()
    return make


def decoder(path):
    """A network that could write; its file says that the last token stands for the text. Ids only: texts are letters."""
    make = Maker(path, "qwen3", F16, 32, 2, 32, 1, 64, LAST)
    add = make.writer
    add.add_head_count_kv(1)
    add.add_key_length(16)
    add.add_value_length(16)
    add.add_layer_norm_rms_eps(1e-6)
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(b) for b in plain] + [chr(256 + i) for i in range(256 - len(plain))]
    add.add_vocab_size(258)
    add.add_tokenizer_model("gpt2")
    add.add_tokenizer_pre("qwen2")
    add.add_token_list([*letters, "ab", "<|endoftext|>"])
    add.add_token_types([1] * 257 + [3])
    add.add_token_merges(["a b"])
    add.add_eos_token_id(257)
    add.add_add_bos_token(False)
    make.put("token_embd.weight", make.random.normal(0, 1, (258, 32)), F16)
    make.vector("output_norm.weight", 32, 1.0)
    for name, length in (("attn_norm", 32), ("ffn_norm", 32), ("attn_q_norm", 16), ("attn_k_norm", 16)):
        make.vector(f"blk.0.{name}.weight", length, 1.0)
    for name, rows, columns in (("attn_q", 32, 32), ("attn_k", 16, 32), ("attn_v", 16, 32), ("attn_output", 32, 32),
                                ("ffn_gate", 32, 32), ("ffn_up", 32, 32), ("ffn_down", 32, 32)):
        make.matrix(f"blk.0.{name}.weight", rows, columns)
    make.finish()
    return make


def word_piece(names):
    words = tokenizers.BertWordPieceTokenizer(dict(zip(names, range(len(names)))), lowercase=True)
    return [words.encode(text).ids for text in TEXTS]


def unit(vector):
    vector = np.asarray(vector, np.float64)
    return vector / np.linalg.norm(vector)


def transformers(make, ids):
    """The file's numbers in transformers' network, in f32."""
    tensors = make.tensors
    model = FlaxBertModel(BertConfig(
        vocab_size=len(tensors["token_embd.weight"]), hidden_size=make.hidden, num_hidden_layers=make.layers,
        num_attention_heads=make.heads, intermediate_size=make.feed, max_position_embeddings=make.window,
        hidden_act="gelu", layer_norm_eps=1e-12), input_shape=(1, 2))
    norm = lambda name: {"scale": tensors[name + ".weight"], "bias": tensors[name + ".bias"]}  # noqa: E731
    layers = {}
    for i in range(make.layers):
        layer = layers[str(i)] = {}
        for name, place in NAMES.items():
            name = f"blk.{i}.{name}"
            at = layer
            for part in place.split("."):
                at = at.setdefault(part, {})
            at.update(norm(name) if "norm" in name else {
                "kernel": tensors[name + ".weight"].T, "bias": tensors[name + ".bias"]})
    parameters = {**model.params, "encoder": {"layer": layers}, "embeddings": {
        "word_embeddings": {"embedding": tensors["token_embd.weight"]},
        "position_embeddings": {"embedding": tensors["position_embd.weight"]},
        "token_type_embeddings": {"embedding": tensors["token_types.weight"]},
        "LayerNorm": norm("token_embd_norm")}}
    vectors = []
    for tokens in ids:
        states = np.asarray(model(np.array([tokens]), params=parameters).last_hidden_state[0], np.float64)
        vectors.append(unit(states.mean(axis=0) if make.pooling == MEAN else states[0]))
    return vectors


def llama(path, ids):
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx = settings.n_batch = settings.n_ubatch = 512
    settings.n_threads = settings.n_threads_batch = 1
    settings.embeddings, settings.flash_attn_type = True, 0
    context = llama_cpp.llama_init_from_model(model, settings)
    n = llama_cpp.llama_model_n_embd(model)
    vectors = []
    for tokens in ids:
        batch = llama_cpp.llama_batch_init(512, 0, 1)
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i], batch.pos[i], batch.logits[i] = token, i, True
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
        memory = llama_cpp.llama_get_memory(context)
        if memory:
            llama_cpp.llama_memory_clear(memory, True)
        assert llama_cpp.llama_decode(context, batch) == 0
        vectors.append(unit(np.ctypeslib.as_array(llama_cpp.llama_get_embeddings_seq(context, 0), (n,))))
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    return vectors


def farthest(one, other):
    return max(float(np.abs(a - b).max()) for a, b in zip(one, other))


def case(ids, vectors, **more):
    return {"ids": ids, "vectors": [[round(float(x), 6) for x in vector] for vector in vectors], **more}


def tiny(folder):
    folder.mkdir(parents=True, exist_ok=True)
    ids = word_piece(vocabulary())
    cases = {}
    for name, kind, pooling, layers in (
        ("bert-f32", F32, MEAN, 1), ("bert-f16", F16, CLS, 2), ("bert-q8_0", Q8_0, MEAN, 2)):
        make = encoder(folder / f"{name}.gguf", kind, pooling, layers=layers)
        vectors = transformers(make, ids)
        off = farthest(vectors, llama(make.path, ids))
        cases[name] = case(ids, vectors, llama_off=round(off, 6))
        print(name, make.path.stat().st_size, off)
    make = encoder(folder / "nomic-f16.gguf", F16, MEAN, "nomic-bert", 2)
    cases["nomic-f16"] = case(ids, llama(make.path, ids))
    make = decoder(folder / "qwen3-f16.gguf")
    letters = [[*range(64, 64 + n), 257] for n in (1, 9, 40)]
    cases["qwen3-f16"] = case(letters, llama(make.path, letters))
    write(folder / "embeddings.json", {"texts": TEXTS, "cases": cases})


def write(path, document):
    cases = document.pop("cases")
    lines = [f"{json.dumps(name)}:{json.dumps(rows, separators=(',', ':'))}" for name, rows in cases.items()]
    path.write_text(f"{json.dumps(document)[:-1]},\n\"cases\":{{\n" + ",\n".join(lines) + "\n}}\n")


def minilm(source, out, folder):
    out.mkdir(parents=True, exist_ok=True)
    config = json.loads((source / "config.json").read_text())
    names = (source / "vocab.txt").read_text().split("\n")[: config["vocab_size"]]
    weights = load_file(source / "model.safetensors")
    ids = word_piece(names)
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    vectors = {}
    for kind in (F32, F16, Q8_0):
        path = out / f"minilm-{kind.name.lower()}.gguf"
        make = Maker(path, "bert", kind, hidden, config["num_attention_heads"], config["intermediate_size"], layers,
                     config["max_position_embeddings"], MEAN)
        make.words(names, config["layer_norm_eps"])
        make.put("token_embd.weight", weights["embeddings.word_embeddings.weight"], kind)
        make.put("token_types.weight", weights["embeddings.token_type_embeddings.weight"])
        make.put("position_embd.weight", weights["embeddings.position_embeddings.weight"])
        for part in ("weight", "bias"):
            make.put(f"token_embd_norm.{part}", weights[f"embeddings.LayerNorm.{part}"])
        for i in range(layers):
            for name, place in NAMES.items():
                for part in ("weight", "bias"):
                    numbers = weights[f"encoder.layer.{i}.{place}.{part}"]
                    make.put(f"blk.{i}.{name}.{part}", numbers, kind if numbers.ndim == 2 else F32)
        make.finish()
        if kind == F32:
            vectors = transformers(make, ids)
        print(path, farthest(vectors, llama(path, ids)))
    write(folder / "minilm.json", {"texts": TEXTS, "cases": {"minilm": case(ids, vectors)}})


if __name__ == "__main__":
    if sys.argv[1] == "--minilm":
        minilm(*map(pathlib.Path, sys.argv[2:]))
    else:
        tiny(pathlib.Path(sys.argv[1]))
