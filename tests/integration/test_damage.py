"""Damaged manifests and configurations, a thousand from one seed: each is refused as a whole and told in lines that say
where, what, and what stays in force; nothing else notices."""

import json
import random
import re

import pytest

from plugtest import build

SEED = 20250131
MANIFESTS = 800
SETTINGS = 100
LIVE = 24

LINE = re.compile(r"^(/\S+\.yaml):(\d+):(\d+): error: .*(expected|did you mean).*; (.+)$")


SHOWN = re.compile(r"^ *\d* \| ")  # the line of the file, and where in it, below an error


def manifest(name):
    return f"""plugin: {name}
version: 1.2.0
type: interface
exec: [{build.ACTOR}, --version, 1.2.0]
description: "what it does"
tags: [text, cpu]
priority: high
provides: [text-{name}]
requires:
  host: ">=0.1"
  packages: ["numpy >=1.26,<3"]
permissions: [observe, call: other]
config:
  device: {{ type: enum, values: [auto, cpu, cuda], default: auto }}
  size: {{ type: int, min: 1, max: 1024, default: 32 }}
methods:
  echo: {{ idempotent: true, timeout: 30s }}
run:
  autostart: false
  restart: on-failure
  backoff: {{ min: 100ms, max: 30s }}
  start_timeout: 60s
  env: {{ OMP_NUM_THREADS: "2", PYTHONPATH: ../../lib }}
"""


@pytest.fixture(autouse=True)
def packages(site):
    (site.root / "lib" / "numpy-2.0.dist-info").mkdir(parents=True)


SETTINGS_TEXT = """log:
  level: info
limits:
  plugins: 1000
  call_bytes: 16MiB
  call_timeout: 60s
watch: false
plugins:
  good:
    priority: 10
    config: { size: 8 }
    run: { start_timeout: 5m }
"""

RANGES = [("1024, def", "0, def"), ("priority: high", "priority: 1000"), ("start_timeout: 60s", "start_timeout: 2d"),
          ("min: 100ms", "min: 1h1m"), ("plugins: 1000", "plugins: 5000"), ("16MiB", "2GiB"), ("priority: 10", "priority: -1"),
          ("call_timeout: 60s", "call_timeout: 8d"), (">=1.26,<3", "=>1.26"), ("<3", "<2"), ("call: other", "call: Other"),
          ("1.2.0\ntype", "1.2\ntype"), ("start_timeout: 5m", "start_timeout: soon")]


def lines_with_keys(text):
    return [i for i, line in enumerate(text) if re.match(rb" *[a-z_]{3,}:", line)]


def damaged(chance, text):
    """One damage, which may turn out to be none."""
    lines = text.encode().split(b"\n")
    at = chance.choice(lines_with_keys(lines))
    key, _, value = lines[at].partition(b":")
    kind = chance.randrange(8)
    if kind == 0:
        whole = b"\n".join(lines)
        return whole[: chance.randrange(1, len(whole))]
    if kind == 1:
        lines[at] = key + b":" + chance.choice([b" [[x]]", b" { a: { b: c } }", b' "?"', b" -1", b" [~]"])
    elif kind == 2:
        lines[at] = key[: len(key) - len(key.lstrip())] + b"qqqqzzzz:" + value
    elif kind == 3:
        cut = len(key) - len(key.lstrip()) + chance.randrange(1, len(key.strip()))
        lines[at] = key[:cut] + b"x" + key[cut:] + b":" + value
    elif kind == 4:
        whole = b"\n".join(lines)
        old, new = chance.choice(RANGES)
        return whole.replace(old.encode(), new.encode())
    elif kind == 5:
        place = chance.randrange(len(lines[at]) + 1)
        lines[at] = lines[at][:place] + bytes(chance.choice([0, 1, 7, 0xFF, 0xC3, 0x1B]) for _ in range(3)) + lines[at][place:]
    elif kind == 6:
        lines[at] = key + b": " + chance.choice([b"[", b"{"]) * chance.randrange(17, 300)
    else:
        lines.insert(at, lines[at])
    return b"\n".join(lines)


def check_lines(lines, in_force):
    for line in lines:
        match = LINE.match(line)
        assert match, line
        assert match[5].endswith(in_force), line
        assert int(match[2]) > 0 and int(match[3]) > 0


def test_damaged_manifests_are_told_and_hide_nobody(site):
    chance = random.Random(SEED)
    for i in range(MANIFESTS):
        folder = site.plugins / f"p{i}"
        folder.mkdir()
        (folder / "plugin.yaml").write_bytes(damaged(chance, manifest(f"p{i}")))
    site.manifest("good", manifest("good"))
    done = site.run("--check")
    assert done.status == 1
    valid, refused = re.match(r"(\d+) plugins are valid, (\d+) are not", done.out).groups()
    assert int(valid) + int(refused) == MANIFESTS + 1 and int(refused) > MANIFESTS * 3 // 4, done.out
    lines = [line for line in done.err.split("\n") if line and not SHOWN.match(line)]
    assert not [line for line in lines if "/good/" in line]
    check_lines(lines, "it is not registered")
    named = {line.split(":")[0] for line in lines}
    assert len(named) == int(refused)


def test_damaged_settings_are_told(site):
    chance = random.Random(SEED + 1)
    site.manifest("good", manifest("good"))
    refused = 0
    for i in range(SETTINGS):
        text = damaged(chance, SETTINGS_TEXT)
        site.config = True
        (site.root / "plugd.yaml").write_bytes(text)
        done = site.run("--check")
        assert done.status in (0, 1), (text, done)
        if done.status == 0:
            continue
        refused += 1
        own = [line for line in done.err.splitlines() if "/good/" not in line and "plugd.yaml:" in line]
        assert own, (text, done)
        for line in own:
            assert LINE.match(line), (text, line)
            assert line.endswith(("plugd does not start with it", "it is not registered")), (text, line)
    assert refused > SETTINGS // 2


def what_is_in_force(site):
    status = site.ok("info", "good")
    return json.dumps([status["config"], status["version"], status["priority"], status["path"]])


def test_what_runs_stays_as_it_was(site):
    """Damage under a plugd that runs: told, and neither the settings nor the plugin change."""
    chance = random.Random(SEED + 2)
    path = site.manifest("good", manifest("good"))
    site.configure(SETTINGS_TEXT)
    site.start()
    assert site.ctl("start", "good").status == 0
    before, status = what_is_in_force(site), site.status("good")
    told = 0
    for i in range(LIVE):
        own, texts = (path, manifest("good")) if i % 2 else (site.root / "plugd.yaml", SETTINGS_TEXT)
        text = damaged(chance, texts)
        own.write_bytes(text)
        done = site.ctl("reread")
        bad = [line for one in site.ok("list")["bad"] for line in one["errors"]]
        if own == path and bad:
            told += 1
            check_lines(bad, "good 1.2.0, as it was read before, stays in force")
            assert what_is_in_force(site) == before, text
        elif own != path and done.status:
            told += 1
            assert "the settings that were read before stay in force" in done.err, text
            assert what_is_in_force(site) == before, text
        own.write_text(texts)
        assert site.ctl("reread").status == 0
    assert told > LIVE // 2
    assert site.status("good")["generation"] == status["generation"]
    assert site.call("good", "echo", {"n": 1}) == {"n": 1}
