#!/usr/bin/env python3
"""Train the model that plugins/models/gpt2 ships.

    python3 -m venv venv && venv/bin/pip install torch transformers tokenizers safetensors numpy
    venv/bin/python tools/train-gpt2/train.py --out model --minutes 50

Writes an unmodified Hugging Face GPT-2 directory.  The schedule follows the
clock, so that a run ends on time however busy the machine is; the best
checkpoint so far is in --out from the first evaluation on.
"""

import argparse
import json
import math
import pathlib
import time

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel

import corpus

EOT = "<|endoftext|>"
CONTEXT = 256


def train_tokenizer(texts, size, out):
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=size - 1, special_tokens=[], show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    tok.model.save(str(out))
    # GPT-2 numbers its only special token last.
    vocab = json.loads((out / "vocab.json").read_text(encoding="utf-8"))
    vocab[EOT] = len(vocab)
    text = json.dumps(dict(sorted(vocab.items(), key=lambda kv: kv[1])), ensure_ascii=False,
                      separators=(",", ":"))
    (out / "vocab.json").write_text(text, encoding="utf-8")
    return tok, vocab[EOT]


def pack(tok, docs, eot):
    ids = []
    for enc in tok.encode_batch(docs):
        ids += [eot, *enc.ids]
    return torch.tensor(ids + [eot])


def make_model(args, vocab_size, eot):
    config = GPT2Config(
        vocab_size=vocab_size, n_positions=CONTEXT, n_embd=args.embd, n_layer=args.layers,
        n_head=args.heads, bos_token_id=eot, eos_token_id=eot, resid_pdrop=args.dropout,
        embd_pdrop=args.dropout, attn_pdrop=0.0)
    return GPT2LMHeadModel(config)


def make_optimizers(model, args):
    """Muon turns the blocks' matrices; AdamW takes embeddings, biases and norms."""
    matrices, decayed, rest = [], [], []
    for name, p in model.named_parameters():
        if p.ndim == 2 and ".h." in name:
            matrices.append(p)
        else:
            (decayed if p.ndim == 2 else rest).append(p)
    muon = torch.optim.Muon(matrices, lr=args.muon_lr, weight_decay=0.1, momentum=0.95)
    adam = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.1},
                              {"params": rest, "weight_decay": 0.0}],
                             lr=args.lr, betas=(0.9, 0.95))
    return muon, adam


def batch(ids, size, gen):
    starts = torch.randint(len(ids) - CONTEXT - 1, (size,), generator=gen)
    rows = torch.stack([ids[s:s + CONTEXT + 1] for s in starts])
    return rows[:, :-1], rows[:, 1:]


def loss_of(model, x, y):
    logits = model(input_ids=x, use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), y.flatten())


@torch.inference_mode()
def evaluate(model, ids):
    model.eval()
    total = count = 0
    for at in range(0, len(ids) - 1, CONTEXT):
        x, y = ids[at:at + CONTEXT][:len(ids) - 1 - at], ids[at + 1:at + 1 + CONTEXT]
        total += loss_of(model, x[None], y[None]).item() * len(y)
        count += len(y)
    model.train()
    return total / count


def scale(progress):
    """Warm up over 2 % of the run, then a cosine down to 2 % of the peak."""
    if progress < 0.02:
        return 0.05 + 0.95 * progress / 0.02
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (progress - 0.02) / 0.98))


def save(model, out, facts):
    config = model.config.to_dict()
    keep = ("architectures model_type activation_function n_layer n_head n_embd n_positions "
            "vocab_size layer_norm_epsilon bos_token_id eos_token_id resid_pdrop embd_pdrop "
            "attn_pdrop initializer_range").split()
    slim = {"architectures": ["GPT2LMHeadModel"], **{k: config[k] for k in keep[1:]}}
    slim["n_ctx"] = slim["n_positions"]
    slim["tie_word_embeddings"] = True
    slim["torch_dtype"] = "float16"
    (out / "config.json").write_text(json.dumps(slim, indent=2, sort_keys=True) + "\n")
    tensors = {k: v.detach().to(torch.float16).contiguous()
               for k, v in model.state_dict().items() if k != "lm_head.weight"}
    partial = out / "model.safetensors.partial"
    save_file(tensors, partial, metadata={"format": "pt"})
    partial.chmod(0o644)
    partial.rename(out / "model.safetensors")
    (out.parent / (out.name + "-facts.json")).write_text(json.dumps(facts, indent=2) + "\n")


def run(args, model, train_ids, held_ids, chars):
    opts = make_optimizers(model, args)
    peaks = [[g["lr"] for g in o.param_groups] for o in opts]
    gen = torch.Generator().manual_seed(args.seed)
    step_model = torch.compile(model) if args.compile else model
    start, best, tokens, step, last_eval, last_log = time.time(), 1e9, 0, 0, time.time(), 0
    while True:
        elapsed = (time.time() - start) / 60
        progress = min(1.0, elapsed / args.minutes)
        for opt, lrs in zip(opts, peaks):
            for group, lr in zip(opt.param_groups, lrs):
                group["lr"] = lr * scale(progress)
        x, y = batch(train_ids, args.batch, gen)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.bf16):
            loss = loss_of(step_model, x, y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for opt in opts:
            opt.step()
            opt.zero_grad(set_to_none=True)
        step, tokens = step + 1, tokens + x.numel()
        if time.time() - last_log > 20:
            last_log = time.time()
            print(f"{elapsed:6.2f} min  step {step}  tokens {tokens / 1e6:.2f}M  "
                  f"{tokens / max(1, time.time() - start):.0f} tok/s  loss {loss.item():.3f}",
                  flush=True)
        if time.time() - last_eval > args.eval_every * 60 or progress >= 1:
            last_eval = time.time()
            held = evaluate(model, held_ids)
            bits = held * (len(held_ids) - 1) / chars / math.log(2)
            print(f"{elapsed:6.2f} min  held out {held:.4f} nats/token  "
                  f"{bits:.3f} bits/char", flush=True)
            if held < best:
                best = held
                save(model, args.out, {
                    "parameters": sum(p.numel() for p in model.parameters()), "steps": step,
                    "tokens": tokens, "minutes": round(elapsed, 1),
                    "epochs": round(tokens / len(train_ids), 1), "train_loss": loss.item(),
                    "held_out_nats_per_token": held, "held_out_bits_per_char": bits,
                    "train_tokens": len(train_ids), "held_out_tokens": len(held_ids)})
        if progress >= 1:
            return


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=pathlib.Path, required=True)
    p.add_argument("--minutes", type=float, default=50)
    p.add_argument("--eval-every", type=float, default=3, help="minutes")
    p.add_argument("--vocab", type=int, default=4096)
    p.add_argument("--embd", type=int, default=128)
    p.add_argument("--layers", type=int, default=6)
    p.add_argument("--heads", type=int, default=4)
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--lr", type=float, default=3e-3)
    p.add_argument("--muon-lr", type=float, default=2e-2)
    p.add_argument("--dropout", type=float, default=0.1)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--bf16", action="store_true")
    p.add_argument("--compile", action="store_true")
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    train, held = corpus.load()
    tok, eot = train_tokenizer(train, args.vocab, args.out)
    train_ids, held_ids = pack(tok, train, eot), pack(tok, held, eot)
    model = make_model(args, eot + 1, eot)
    n = sum(q.numel() for q in model.parameters())
    print(f"{n} parameters; {len(train_ids)} training and {len(held_ids)} held-out tokens",
          flush=True)
    run(args, model, train_ids, held_ids, sum(len(d) + 1 for d in held))


if __name__ == "__main__":
    main()
