"""Prometheus's text exposition format 0.0.4, read more strictly than Prometheus does."""

import collections
import math
import re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"')
VALUE = re.compile(r"[+-]?(?:\d+(?:\.\d+)?(?:e[+-]\d+)?|Inf)|NaN")
TYPES = {"counter": [""], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"], "summary": ["", "_sum", "_count"]}

Sample = collections.namedtuple("Sample", "name labels value")


class Family:
    def __init__(self, name, help):
        self.name, self.help = name, help
        self.type = None
        self.samples = []


def unescaped(text):
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], text)


def read_labels(text):
    labels, at = {}, 0
    while at < len(text):
        match = LABEL.match(text, at)
        assert match, f"no label at {text[at:]!r}"
        assert not match[1].startswith("__") and match[1] not in labels, match[1]
        labels[match[1]] = unescaped(match[2])
        at = match.end()
        if at < len(text):
            assert text[at] == "," and at + 1 < len(text), text
            at += 1
    return labels


def read_sample(line):
    name = NAME.match(line)
    assert name, line
    rest, labels = line[name.end():], {}
    if rest.startswith("{"):
        inside, brace, rest = rest[1:].rpartition("}")
        assert brace and inside, line
        labels = read_labels(inside)
    assert rest.startswith(" ") and VALUE.fullmatch(rest[1:]), line
    return Sample(name[0], labels, float(rest[1:]))


def check_buckets(family):
    """Of each series: bounds that grow, counts that do, and the last of them is the count."""
    series = collections.defaultdict(dict)
    for sample in family.samples:
        labels = {key: value for key, value in sample.labels.items() if key != "le"}
        mine = series[tuple(sorted(labels.items()))]
        if sample.name.endswith("_bucket"):
            mine.setdefault("buckets", []).append((float(sample.labels["le"]), sample.value))
        else:
            mine[sample.name] = sample.value
    for mine in series.values():
        bounds, counts = zip(*mine["buckets"])
        assert list(bounds) == sorted(set(bounds)) and math.isinf(bounds[-1]), bounds
        assert list(counts) == sorted(counts), counts
        assert counts[-1] == mine[family.name + "_count"]
        assert mine[family.name + "_sum"] >= 0


def check_family(family):
    assert family.type in TYPES, family.type
    assert family.help and family.help.endswith("."), family.help
    assert not re.search(r"_(ms|us|ns|kb|mb)(_|$)", family.name), "seconds and bytes"
    assert (family.type == "counter") == family.name.endswith("_total"), family.name
    for sample in family.samples:
        assert sample.name in [family.name + suffix for suffix in TYPES[family.type]], sample.name
        assert ("le" in sample.labels) == sample.name.endswith("_bucket")
        assert family.type == "summary" or "quantile" not in sample.labels
        if family.type != "gauge":
            assert sample.value >= 0
    if family.type == "histogram":
        check_buckets(family)


class Exposition:
    """All of it, checked.  Families by name, in their order."""

    def __init__(self, text):
        self.families = {}
        family = None
        assert text.endswith("\n") and "\r" not in text
        for line in text[:-1].split("\n"):
            if line.startswith("# HELP "):
                _, _, name, help = line.split(" ", 3)
                assert NAME.fullmatch(name) and name not in self.families, name
                assert not re.search(r"\\[^\\n]", help)
                family = self.families[name] = Family(name, unescaped(help))
            elif line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                assert family and name == family.name and not family.type and not family.samples
                family.type = kind
            else:
                assert family and family.type, f"no family for {line!r}"
                family.samples.append(read_sample(line))
        for family in self.families.values():
            check_family(family)
        series = [(s.name, *sorted(s.labels.items())) for f in self.families.values() for s in f.samples]
        assert len(series) == len(set(series)), "a series is there twice"

    def select(self, name, **labels):
        """The samples of this name with at least these labels."""
        return [
            sample for family in self.families.values() for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]

    def value(self, name, **labels):
        """Of the one sample there is; None: there is none."""
        found = self.select(name, **labels)
        assert len(found) <= 1, found
        return found[0].value if found else None
