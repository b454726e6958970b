"""Makes tiny GGUF files with random weights, one for each architecture, and what llama.cpp computes with them.

    pip install -r requirements-networks.txt
    python networks.py ../../crates/engine/tests/vectors/networks

Writes NAME.gguf and networks.json: the logits after a prompt, the greedy continuation, and by how much the best token
led at its closest. `crates/engine/src/model/vectors.rs` holds the engine to them.
"""

import ctypes
import json
import math
import pathlib
import sys

import gguf
import llama_cpp
import numpy as np

HIDDEN, HEAD, HEADS, KV_HEADS, FEED, VOCABULARY = 32, 16, 2, 1, 32, 64
PROMPT = [3, 14, 15, 9, 26, 53, 58, 9, 7, 9, 32, 38, 46, 26, 43, 38, 32, 7, 50, 28]
N_STEPS = 24
F32, F16, Q8_0 = (gguf.GGMLQuantizationType[name] for name in ("F32", "F16", "Q8_0"))


class Maker:
    def __init__(self, path, architecture, seed, kind=F16, layers=2, hidden=HIDDEN):
        self.random = np.random.default_rng(seed)
        self.writer = gguf.GGUFWriter(path, architecture)
        self.architecture, self.kind, self.layers = architecture, kind, layers
        self.hidden, self.kinds = hidden, {}
        add = self.writer
        add.add_context_length(128)
        add.add_embedding_length(hidden)
        add.add_block_count(layers)
        add.add_feed_forward_length(FEED)
        add.add_head_count(HEADS)
        add.add_head_count_kv(KV_HEADS)
        add.add_key_length(HEAD)
        add.add_value_length(HEAD)
        add.add_layer_norm_rms_eps(1e-5)
        add.add_vocab_size(VOCABULARY)
        add.add_tokenizer_model("none")

    def matrix(self, name, rows, columns, kind=None):
        for part, other in self.kinds.items():
            if part in name:
                return self.blocks(name, gguf.GGMLQuantizationType[other], rows, columns)
        kind = kind or self.kind
        numbers = self.random.normal(0, 1.6 / math.sqrt(columns), (rows, columns)).astype(np.float32)
        data = gguf.quants.quantize(numbers, kind)
        self.writer.add_tensor(name, data, raw_dtype=kind)

    def blocks(self, name, kind, rows, columns):
        numbers, size = gguf.GGML_QUANT_SIZES[kind]
        data = self.random.integers(0, 256, (rows * columns // numbers, size), dtype=np.uint8)
        half = lambda x: np.frombuffer(np.float16(x).tobytes(), np.uint8)  # noqa: E731
        if kind.name == "Q6_K":
            data[:, 208:210] = half(6e-5)
        else:
            middle = 7.5 if kind.name == "Q4_K" else 15.5
            data[:, 0:2], data[:, 2:4] = half(0.012 / middle), half(0.012)
        self.writer.add_tensor(name, data.reshape(rows, -1), raw_dtype=kind)

    def vector(self, name, length, middle=1.0):
        numbers = self.random.normal(middle, 0.2, length).astype(np.float32)
        self.writer.add_tensor(name, numbers)

    def body(self, biases=False, head_norms=False, post_norms=False, fused=False, output=False):
        hidden = self.hidden
        # Gemma scales its embeddings; the token itself would win for ever.
        size = 0.15 if self.architecture.startswith("gemma") else 1.0
        table = self.random.normal(0, size, (VOCABULARY, hidden)).astype(np.float32)
        self.writer.add_tensor("token_embd.weight", gguf.quants.quantize(table, self.kind), raw_dtype=self.kind)
        self.vector("output_norm.weight", hidden)
        if output:
            self.matrix("output.weight", VOCABULARY, hidden)
        queries, keys = HEADS * HEAD, KV_HEADS * HEAD
        for i in range(self.layers):
            block = f"blk.{i}."
            self.vector(block + "attn_norm.weight", hidden)
            self.vector(block + "ffn_norm.weight", hidden)
            if fused:
                self.matrix(block + "attn_qkv.weight", queries + 2 * keys, hidden)
                self.matrix(block + "ffn_up.weight", 2 * FEED, hidden)
            else:
                for name, rows in (("q", queries), ("k", keys), ("v", keys)):
                    self.matrix(f"{block}attn_{name}.weight", rows, hidden)
                    if biases:
                        self.vector(f"{block}attn_{name}.bias", rows, 0.0)
                self.matrix(block + "ffn_gate.weight", FEED, hidden)
                self.matrix(block + "ffn_up.weight", FEED, hidden)
            self.matrix(block + "attn_output.weight", hidden, queries)
            self.matrix(block + "ffn_down.weight", hidden, FEED)
            if head_norms:
                self.vector(block + "attn_q_norm.weight", HEAD)
                self.vector(block + "attn_k_norm.weight", HEAD)
            if post_norms:
                self.vector(block + "post_attention_norm.weight", hidden)
                self.vector(block + "post_ffw_norm.weight", hidden)
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()


def llama_f32(path, seed):
    make = Maker(path, "llama", seed, F32, layers=1)
    make.writer.add_rope_dimension_count(HEAD)
    make.body()


def llama_f16(path, seed):
    """Llama 3's factors, and an output matrix of its own."""
    make = Maker(path, "llama", seed)
    make.writer.add_rope_dimension_count(HEAD)
    make.writer.add_rope_freq_base(500000.0)
    make.writer.add_tensor("rope_freqs.weight", np.geomspace(1, 8, HEAD // 2).astype(np.float32))
    make.body(output=True)


def llama_linear(path, seed):
    """Positions drawn together by one factor, in Q8_0."""
    make = Maker(path, "llama", seed, Q8_0)
    make.writer.add_rope_dimension_count(HEAD)
    make.writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
    make.writer.add_rope_scaling_factor(4.0)
    make.body()


def qwen2(path, seed):
    make = Maker(path, "qwen2", seed, Q8_0)
    make.writer.add_rope_freq_base(1000000.0)
    make.body(biases=True)


def qwen3(path, seed):
    make = Maker(path, "qwen3", seed, Q8_0)
    make.writer.add_rope_freq_base(1000000.0)
    make.body(head_norms=True)


def llama_k(path, seed):
    """The K formats, whose rows are multiples of 256. Their blocks are random: no quantiser for them is in `gguf`."""
    make = Maker(path, "llama", seed, gguf.GGMLQuantizationType.Q4_0, layers=1, hidden=256)
    make.kinds = {"attn_q": "Q4_K", "attn_k": "Q5_K", "attn_v": "Q6_K", "ffn_gate": "Q5_K", "ffn_up": "Q4_K"}
    make.writer.add_rope_dimension_count(HEAD)
    make.body()


def gemma(path, seed):
    Maker(path, "gemma", seed, gguf.GGMLQuantizationType.Q5_0).body()


def gemma2(path, seed):
    make = Maker(path, "gemma2", seed)
    make.writer.add_sliding_window(8)
    make.writer.add_attn_logit_softcapping(3.0)
    make.writer.add_final_logit_softcapping(5.0)
    make.body(post_norms=True)


def gemma3(path, seed):
    """Six layers, for the sixth is the first that sees everything."""
    make = Maker(path, "gemma3", seed, gguf.GGMLQuantizationType.Q4_0, layers=6)
    make.writer.add_sliding_window(8)
    make.writer.add_rope_freq_base(1000000.0)
    make.writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
    make.writer.add_rope_scaling_factor(8.0)
    make.body(head_norms=True, post_norms=True)


def phi3(path, seed):
    """RoPE turns half of each head only, by factors for long windows."""
    make = Maker(path, "phi3", seed)
    make.writer.add_rope_dimension_count(HEAD // 2)
    make.writer.add_rope_scaling_orig_ctx_len(16)
    make.writer.add_rope_scaling_attn_factors(1.2)
    make.writer.add_tensor("rope_factors_long.weight", np.geomspace(1, 20, HEAD // 4).astype(np.float32))
    make.writer.add_tensor("rope_factors_short.weight", np.ones(HEAD // 4, np.float32))
    make.body(fused=True)


def compute(path):
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx, settings.n_threads, settings.n_threads_batch = 128, 1, 1
    settings.flash_attn_type = 0
    context = llama_cpp.llama_init_from_model(model, settings)
    batch = llama_cpp.llama_batch_init(64, 0, 1)
    position = 0

    def feed(tokens):
        nonlocal position
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i], batch.pos[i] = token, position
            position += 1
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
            batch.logits[i] = i + 1 == len(tokens)
        assert llama_cpp.llama_decode(context, batch) == 0
        logits = llama_cpp.llama_get_logits_ith(context, len(tokens) - 1)
        return np.ctypeslib.as_array(ctypes.cast(logits, ctypes.POINTER(ctypes.c_float)), (VOCABULARY,)).copy()

    logits = first = feed(PROMPT)
    tokens, lead = [], math.inf
    for _ in range(N_STEPS):
        best = int(np.argmax(logits))
        second = np.partition(logits, -2)[-2]
        lead = min(lead, float(logits[best] - second))
        tokens.append(best)
        logits = feed([best])
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    return {"logits": [round(float(x), 6) for x in first], "greedy": tokens, "smallest_lead": round(lead, 5)}


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    makers = (llama_f32, llama_f16, llama_linear, llama_k, qwen2, qwen3, gemma, gemma2, gemma3, phi3)
    cases = {}
    for maker in makers:
        path = folder / f"{maker.__name__}.gguf"
        # Seeds until no token of the continuation is a near tie, and it does not repeat one token only.
        for seed in range(1, 200):
            maker(path, seed)
            case = compute(path)
            if case["smallest_lead"] > 0.03 and len(set(case["greedy"])) > 4:
                break
        cases[maker.__name__] = {"seed": seed, **case}
        print(maker.__name__, path.stat().st_size, seed, case["smallest_lead"], case["greedy"])
    (folder / "networks.json").write_text(json.dumps({"prompt": PROMPT, "cases": cases}, indent=1) + "\n")


main()
