"""Writes the GGUF file: Q8_0 matrices, F32 norms, the tokenizer and the chat template.

Owns the metadata keys and their values. Does not train and does not score.
"""

import json

import gguf
import numpy as np

import model

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def write(path, weights, tokenizer):
    """Writes beside the file first: a reader never meets half of it."""
    beside = path.with_suffix(".part")
    out = gguf.GGUFWriter(str(beside), "llama")
    out.add_name("tollgate-demo")
    out.add_description("Answers questions about Tollgate and the basics of LLM APIs, and nothing else.")
    out.add_license("Apache-2.0")
    out.add_languages(["en"])
    out.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    out.add_quantization_version(gguf.GGML_QUANT_VERSION)
    out.add_context_length(model.CONTEXT)
    out.add_embedding_length(model.HIDDEN)
    out.add_block_count(model.LAYERS)
    out.add_feed_forward_length(model.FFN)
    out.add_head_count(model.HEADS)
    out.add_head_count_kv(model.KV_HEADS)
    out.add_key_length(model.HEAD)
    out.add_value_length(model.HEAD)
    out.add_rope_dimension_count(model.HEAD)
    out.add_rope_freq_base(model.ROPE_BASE)
    out.add_layer_norm_rms_eps(model.EPS)
    out.add_vocab_size(model.VOCAB)
    add_tokenizer(out, tokenizer)
    for name in sorted(weights):
        value = np.asarray(weights[name], np.float32)
        if value.ndim == 1:
            out.add_tensor(name + ".weight", value)
        else:
            kind = gguf.GGMLQuantizationType.Q8_0
            out.add_tensor(name + ".weight", gguf.quantize(value, kind), raw_dtype=kind)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    beside.replace(path)


def add_tokenizer(out, tokenizer):
    bpe = json.loads(tokenizer.to_str())
    control = {entry["id"] for entry in bpe["added_tokens"] if entry["special"]}
    tokens = [tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())]
    if len(tokens) != model.VOCAB:
        raise SystemExit(f"the tokenizer has {len(tokens)} tokens, the model {model.VOCAB}")
    merges = [m if isinstance(m, str) else " ".join(m) for m in bpe["model"]["merges"]]
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("gpt-2")
    out.add_token_list(tokens)
    out.add_token_types([gguf.TokenType.CONTROL if i in control else gguf.TokenType.NORMAL for i in range(len(tokens))])
    out.add_token_merges(merges)
    out.add_eos_token_id(tokenizer.token_to_id("<|im_end|>"))
    out.add_eot_token_id(tokenizer.token_to_id("<|im_end|>"))
    out.add_pad_token_id(tokenizer.token_to_id("<|endoftext|>"))
    out.add_add_bos_token(False)
    out.add_add_eos_token(False)
    out.add_chat_template(CHAT_TEMPLATE)
