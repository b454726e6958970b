"""Writes a GGUF file of Llama 3.2 1B's shape whose Q4_K_M blocks are random: enough to measure speed and memory.

    python big.py OUT.gguf [--layers 16]

No quantiser is needed: blocks are random bytes with scales of a sensible size, so an 800 MB file takes seconds.
"""

import argparse

import gguf
import numpy as np

HIDDEN, FEED, HEADS, KV_HEADS, HEAD, VOCABULARY = 2048, 8192, 32, 8, 64, 128256
random = np.random.default_rng(1)


def blocks(kind, rows, columns):
    numbers, size = gguf.GGML_QUANT_SIZES[kind]
    data = random.integers(0, 256, (rows * columns // numbers, size), dtype=np.uint8)
    scale = np.frombuffer(np.float16(2e-4 if kind == gguf.GGMLQuantizationType.Q4_K else 5e-5).tobytes(), np.uint8)
    if kind == gguf.GGMLQuantizationType.Q4_K:
        data[:, 0:2] = scale
        # The mean of d * sc * q equals that of dmin * m, so that products stay near zero.
        data[:, 2:4] = np.frombuffer(np.float16(2e-4 * 7.5).tobytes(), np.uint8)
    else:
        data[:, 208:210] = scale
    return data.reshape(rows, -1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--layers", type=int, default=16)
    arguments = parser.parse_args()
    four, six = gguf.GGMLQuantizationType.Q4_K, gguf.GGMLQuantizationType.Q6_K
    writer = gguf.GGUFWriter(arguments.out, "llama")
    writer.add_context_length(131072)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(arguments.layers)
    writer.add_feed_forward_length(FEED)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HEAD)
    writer.add_rope_freq_base(500000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCABULARY)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    # Bytes as GPT-2 writes them: printable ones as they are, the others from 256 on.
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(b) for b in plain] + [chr(256 + i) for i in range(256 - len(plain))]
    tokens = [*letters, "ab", *(f"<t{i}>" for i in range(VOCABULARY - 257))]
    writer.add_token_list(tokens)
    writer.add_token_types([1] * VOCABULARY)
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(0)

    def matrix(name, kind, rows, columns):
        writer.add_tensor(name, blocks(kind, rows, columns), raw_dtype=kind)

    matrix("token_embd.weight", six, VOCABULARY, HIDDEN)
    writer.add_tensor("output_norm.weight", np.ones(HIDDEN, np.float32))
    n = arguments.layers
    for i in range(n):
        # llama.cpp's rule for Q4_K_M: values and down projections of some layers in six bits.
        better = six if i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2 else four
        writer.add_tensor(f"blk.{i}.attn_norm.weight", np.ones(HIDDEN, np.float32))
        writer.add_tensor(f"blk.{i}.ffn_norm.weight", np.ones(HIDDEN, np.float32))
        matrix(f"blk.{i}.attn_q.weight", four, HEADS * HEAD, HIDDEN)
        matrix(f"blk.{i}.attn_k.weight", four, KV_HEADS * HEAD, HIDDEN)
        matrix(f"blk.{i}.attn_v.weight", better, KV_HEADS * HEAD, HIDDEN)
        matrix(f"blk.{i}.attn_output.weight", four, HIDDEN, HEADS * HEAD)
        matrix(f"blk.{i}.ffn_gate.weight", four, FEED, HIDDEN)
        matrix(f"blk.{i}.ffn_up.weight", four, FEED, HIDDEN)
        matrix(f"blk.{i}.ffn_down.weight", better, HIDDEN, FEED)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main()
