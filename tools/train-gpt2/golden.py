#!/usr/bin/env python3
"""Write the values that the unit tests of plugins/models/gpt2 compare with.

    venv/bin/python tools/train-gpt2/golden.py

Everything is computed by Hugging Face transformers in float32 on the CPU, from
the shipped model and from a tiny random one with a separate head.  A greedy
continuation in which two tokens come closer than MARGIN is refused: which of
them is first would depend on rounding.
"""

import argparse
import json
import pathlib

import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel, GPT2Tokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "plugins/models/gpt2/model"
GOLDEN = ROOT / "tests/unit/gpt2/golden"
MARGIN = 1e-3

LONG = ("The evening was spent chiefly in talking over Hertfordshire news, and telling again what "
        "had already been written; and when it closed, Elizabeth, in the solitude of her chamber, "
        "had to meditate upon the degree of it. ")

LOGITS = [
    ("short", "It is a truth universally acknowledged, that", [0, 4, -1]),
    ("mixed", "Naïve café — “£5” for 日本 🙂\n\n\tend", [-1]),
    ("long", LONG * 5, [128, -1]),
]

GREEDY = [
    ("It is a truth universally acknowledged, that", 64),
    ("Mr. Darcy", 96),
    ("\"My dear Emma,\" said Mr. Knightley,", 64),
    ("Élise répondit à Zoë: “Voilà!” —", 48),
    ("日本語のテキスト 🙂", 32),
    ("She was", 254),
    (LONG * 4, 120),
    ("x", 1),
    ("   \n\n", 40),
    ("1811 CHAPTER 2", 40),
]

TOKENS = [
    "", " ", "  ", "   a", "a  b", "a   b", " a", "a ", "\n", "\n\n", " \n ", "\t\ttab", "a\r\nb",
    "\u00a0", "a\u00a0b", "a \u00a0 b", "\u3000全角", "\u2003em", "\u0085x\u0085", "a\u200bb",
    "\u180eb", "\ufeffbom", "\u2028\u2029",
    "I'm you're he's we'll they've I'd don't", "I'M YOU'RE", "'s", " 's", "''s", "'", "''", "o'clock",
    "rock 'n' roll", "the dogs' tails", "'tis", "x'll'd've're'm't's", "!'s", "'sx", "' s",
    "it\u2019s", "1", "12", "123 456", "3.14159", "1,000,000", "v1.2.3", "\u0663\u0664", "\u00bd\u2460",
    "\u2167", "a1b2", "1st", "x\u00b2",
    "Hello, world!", "hello world", "HELLO", "camelCaseWord", "snake_case_word", "a--b", "a---b ...",
    "(parenthesis) [bracket] {brace}", "http://example.org/?a=1&b=2#c", "e-mail@example.org",
    "é", "e\u0301", "naïve", "Straße", "Ελληνικά", "русский текст", "עברית", "العربية", "हिन्दी",
    "ไทย", "日本語", "中文文本", "한국어", "\U00020000", "🙂", "🙂🙂", " 🙂 ", "👩\u200d👩\u200d👧", "🇩🇪",
    "\u0000", "a\u0000b", "\u0001\u0002\u001f\u007f", "\u009f", "\ufffd", "\uffff", "\U0010ffff",
    "<|endoftext|>", "a<|endoftext|>b", "<|endoftext|><|endoftext|>", " <|endoftext|> ",
    "<|endoftext", "|endoftext|>", "<|endoftext|", "x <|endoftext|>\n y", "<<|endoftext|>>",
    "It is a truth universally acknowledged, that a single man in possession of a good fortune",
    "a" * 300, "ab" * 200, "the" * 100, " " * 130 + "x", "\n" * 65, "-" * 99, "the " * 50,
    "\u00e9" * 77, "🙂" * 33, "0" * 90, "Mr. and Mrs. Bennet's " * 12,
]

# Bytes in this order decode to text with replacement characters.
BROKEN = [
    [0xff], [0x41, 0xff, 0x42], [0xe2, 0x82], [0xe2, 0x82, 0x41], [0xf0, 0x9f, 0x99], [0x80],
    [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0xe2, 0x82, 0xac],
    [0xf0, 0x9f, 0x41, 0x99], [0xc3, 0xc3, 0xa9, 0xc3],
]

EMBED = ["It is a truth universally acknowledged", "naïve 🙂", LONG]


def byte_tokens(tok):
    """The token of each single byte, by GPT-2's alphabet."""
    shown = [*range(0x21, 0x7f), *range(0xa1, 0xad), *range(0xae, 0x100)]
    rest = [b for b in range(256) if b not in shown]
    alphabet = {b: chr(b) for b in shown} | {b: chr(256 + n) for n, b in enumerate(rest)}
    return {b: tok.convert_tokens_to_ids(c) for b, c in alphabet.items()}


def logits_cases(model, tok):
    meta, tensors = [], {}
    for name, prompt, rows in LOGITS:
        ids = tok.encode(prompt)[:model.config.n_positions]
        rows = [r % len(ids) for r in rows]
        with torch.inference_mode():
            tensors[name] = model(torch.tensor([ids])).logits[0, rows].clone()
        meta.append({"name": name, "ids": ids, "rows": rows})
    return meta, tensors


def greedy_case(model, tok, prompt, count):
    ids = tok.encode(prompt)
    room = model.config.n_positions - len(ids)
    with torch.inference_mode():
        out = model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=min(count, room),
                             output_logits=True, return_dict_in_generate=True,
                             pad_token_id=model.config.eos_token_id)
    for step, logits in enumerate(out.logits):
        first, second = logits[0].topk(2).values.tolist()
        if first - second < MARGIN:
            raise SystemExit(f"{prompt[:40]!r}: step {step} is decided by {first - second:.2g}; "
                             f"choose another prompt or a shorter text")
    made = out.sequences[0, len(ids):].tolist()
    ended = bool(made) and made[-1] == model.config.eos_token_id
    made = made[:-1] if ended else made
    return {"prompt": prompt, "max_tokens": count, "prompt_tokens": len(ids), "tokens": made,
            "text": tok.decode(made, clean_up_tokenization_spaces=False),
            "finish": "eos" if ended else "length"}


def embed_case(model, tok, text):
    ids = tok.encode(text)
    with torch.inference_mode():
        hidden = model.transformer(torch.tensor([ids])).last_hidden_state[0]
    return {"text": text, "tokens": len(ids), "mean": [round(v, 6) for v in hidden.mean(0).tolist()]}


def token_cases(tok):
    cases = [{"text": t, "ids": tok.encode(t)} for t in TOKENS]
    for case in cases:
        case["decoded"] = tok.decode(case["ids"], clean_up_tokenization_spaces=False)
    return cases


def broken_cases(tok):
    by_byte = byte_tokens(tok)
    cases = []
    for data in BROKEN:
        ids = [by_byte[b] for b in data]
        cases.append({"ids": ids, "decoded": tok.decode(ids, clean_up_tokenization_spaces=False)})
    return cases


def write_json(name, value):
    text = json.dumps(value, ensure_ascii=True, indent=None, separators=(",", ":"))
    (GOLDEN / name).write_text(text.replace("},{", "},\n{") + "\n")


def write_untied():
    """A tiny model with its own head, no prefix, bf16, and an MLP that is not four times as wide."""
    torch.manual_seed(7)
    config = GPT2Config(vocab_size=257, n_positions=24, n_embd=24, n_layer=2, n_head=3, n_inner=40,
                        layer_norm_epsilon=1e-4, bos_token_id=256, eos_token_id=256,
                        tie_word_embeddings=False, initializer_range=0.3)
    model = GPT2LMHeadModel(config).eval()
    for p in model.parameters():
        p.data = (p.data + 0.05 * torch.randn_like(p)).bfloat16().float()
    out = GOLDEN / "untied"
    out.mkdir(exist_ok=True)
    names = {k: v.bfloat16().contiguous() for k, v in model.state_dict().items()}
    save_file({k.removeprefix("transformer."): v for k, v in names.items()},
              out / "model.safetensors", metadata={"format": "pt"})
    keys = ("activation_function n_layer n_head n_embd n_positions n_inner vocab_size model_type "
            "layer_norm_epsilon bos_token_id eos_token_id tie_word_embeddings").split()
    slim = {k: config.to_dict()[k] for k in keys}
    (out / "config.json").write_text(json.dumps(slim, indent=1) + "\n")
    shown = [*range(0x21, 0x7f), *range(0xa1, 0xad), *range(0xae, 0x100)]
    chars = [chr(b) for b in shown] + [chr(256 + n) for n in range(256 - len(shown))]
    vocab = {c: i for i, c in enumerate([*chars, "<|endoftext|>"])}
    (out / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    (out / "merges.txt").write_text("#version: 0.2\n")
    ids = [256, 3, 200, 41, 77, 5, 255, 0, 128, 129, 130, 7]
    with torch.inference_mode():
        return ids, model(torch.tensor([ids])).logits[0, [0, 5, 11]].clone()


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", type=pathlib.Path, default=MODEL)
    args = p.parse_args()
    torch.set_num_threads(1)
    GOLDEN.mkdir(parents=True, exist_ok=True)
    tok = GPT2Tokenizer.from_pretrained(args.model)
    model = GPT2LMHeadModel.from_pretrained(args.model, dtype=torch.float32).eval()
    stored = load_file(args.model / "model.safetensors")["transformer.wte.weight"]
    assert stored.float().equal(model.transformer.wte.weight), "these are not the stored weights"

    meta, tensors = logits_cases(model, tok)
    ids, tensors["untied"] = write_untied()
    meta.append({"name": "untied", "ids": ids, "rows": [0, 5, 11]})
    save_file(tensors, GOLDEN / "logits.safetensors")
    write_json("logits.json", meta)
    write_json("greedy.json", [greedy_case(model, tok, *case) for case in GREEDY])
    write_json("tokens.json", token_cases(tok))
    write_json("broken.json", broken_cases(tok))
    write_json("embed.json", [embed_case(model, tok, text) for text in EMBED])
    for path in GOLDEN.rglob("*.safetensors"):
        path.chmod(0o644)
    total = sum(f.stat().st_size for f in GOLDEN.rglob("*") if f.is_file())
    print(f"{GOLDEN}: {total} bytes")


if __name__ == "__main__":
    main()
