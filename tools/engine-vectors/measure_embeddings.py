"""Measures llama.cpp on a file that embeds: texts per second of CPU time.

    python measure_embeddings.py FILE.gguf [--threads 1]

Prints what `cargo run --release -p tollgate-engine --example embedding_speed -- FILE.gguf` prints of the engine here.
"""

import argparse
import resource
import time

import llama_cpp


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    model = llama_cpp.llama_model_load_from_file(
        arguments.file.encode(), llama_cpp.llama_model_default_params()
    )
    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx = settings.n_batch = settings.n_ubatch = 512
    settings.n_seq_max, settings.kv_unified, settings.embeddings = 32, True, True
    settings.n_threads = settings.n_threads_batch = arguments.threads
    context = llama_cpp.llama_init_from_model(model, settings)
    batch = llama_cpp.llama_batch_init(512, 0, 1)

    def run(n_texts, n_tokens):
        """As many texts in a pass as the engine takes: 256 tokens, or one text."""
        at_once = max(1, 256 // n_tokens)
        for first in range(0, n_texts, at_once):
            n = min(at_once, n_texts - first)
            batch.n_tokens = n * n_tokens
            for text in range(n):
                for at in range(n_tokens):
                    i = text * n_tokens + at
                    batch.token[i], batch.pos[i], batch.logits[i] = 2000 + first + text + at, at, True
                    batch.n_seq_id[i], batch.seq_id[i][0] = 1, text
            assert llama_cpp.llama_encode(context, batch) == 0
            for text in range(n):
                llama_cpp.llama_get_embeddings_seq(context, text)[0]

    run(16, 16)
    for n_tokens, n_texts in ((16, 256), (64, 64), (256, 16), (512, 8)):
        wall, cpu = time.perf_counter(), time.process_time()
        run(n_texts, n_tokens)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        print(f"texts of {n_tokens} tokens: {n_texts / cpu:.1f} per CPU second, {n_texts / wall:.1f} per second")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


main()
