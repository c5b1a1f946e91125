#!/usr/bin/env python3
"""Tokens per second of greedy decoding: gpt2-bench against Hugging Face transformers.

    venv/bin/python tools/train-gpt2/bench_peer.py --native build/release/bin/gpt2-bench

Both sides run on the same CPU with the same number of threads, in turns, and
make the same tokens from the same prompt with a key-value cache.  transformers
is measured twice, through model.generate() and through a bare loop without it;
the ratio is against the faster of the two.  Each side is warmed up first.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import time

import torch
import transformers
from transformers import GPT2LMHeadModel, GPT2Tokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROMPT = "It is a truth universally acknowledged, that"


@torch.inference_mode()
def by_generate(model, ids, tokens):
    start = time.perf_counter()
    out = model.generate(ids, do_sample=False, max_new_tokens=tokens, use_cache=True,
                         eos_token_id=None, pad_token_id=0)
    return tokens / (time.perf_counter() - start), out[0, -1].item()


@torch.inference_mode()
def by_loop(model, ids, tokens):
    start = time.perf_counter()
    past, step = None, ids
    for _ in range(tokens):
        out = model(input_ids=step, past_key_values=past, use_cache=True)
        past = out.past_key_values
        step = out.logits[:, -1:].argmax(-1)
    return tokens / (time.perf_counter() - start), step.item()


def by_native(args, threads):
    out = subprocess.run([args.native, args.model, str(threads), str(args.tokens), PROMPT],
                         check=True, capture_output=True, text=True).stdout
    found = json.loads(out)
    return found["tokens_per_second"], found["last_token"]


def measure(args, model, ids, threads):
    torch.set_num_threads(threads)
    sides = {"generate": lambda: by_generate(model, ids, args.tokens),
             "loop": lambda: by_loop(model, ids, args.tokens),
             "native": lambda: by_native(args, threads)}
    speeds, last = {name: [] for name in sides}, set()
    for run in sides.values():
        run()
    for _ in range(args.rounds):
        for name, run in sides.items():
            speed, token = run()
            speeds[name].append(speed)
            last.add(token)
    if len(last) != 1:
        raise SystemExit(f"the sides do not end with the same token: {sorted(last)}")
    median = {name: statistics.median(values) for name, values in speeds.items()}
    peer = max(median["generate"], median["loop"])
    return {"threads": threads, "tokens": args.tokens, "rounds": args.rounds,
            "native_tokens_per_second": round(median["native"], 1),
            "transformers_generate_tokens_per_second": round(median["generate"], 1),
            "transformers_loop_tokens_per_second": round(median["loop"], 1),
            "ratio_to_the_faster": round(median["native"] / peer, 2)}


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--native", required=True, help="the program gpt2-bench")
    p.add_argument("--model", default=str(ROOT / "plugins/models/gpt2/model"))
    p.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--tokens", type=int, default=128)
    args = p.parse_args()
    model = GPT2LMHeadModel.from_pretrained(args.model, dtype=torch.float32).eval()
    model.generation_config.eos_token_id = None
    ids = torch.tensor([GPT2Tokenizer.from_pretrained(args.model).encode(PROMPT)])
    results = [measure(args, model, ids, threads) for threads in args.threads]
    print(json.dumps({"torch": torch.__version__, "transformers": transformers.__version__,
                      "prompt_tokens": ids.shape[1], "results": results}, indent=2))


if __name__ == "__main__":
    main()
