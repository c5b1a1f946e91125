"""protobuf-c unpacks recursively and without a limit: no message may contain itself."""

import re

from lint_support import sources, text
from test_layers import cycles

SCALARS = set(
    "double float int32 int64 uint32 uint64 sint32 sint64 fixed32 fixed64 sfixed32 sfixed64 bool "
    "string bytes".split()
)
FIELD = re.compile(
    r"(?:repeated\s+)?(map<[^>]+>|[A-Za-z_][\w.]*)\s+(\w+)\s*=\s*(\d+)\s*(?:\[[^]]*\])?\s*;"
)


def strip(source):
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", source, flags=re.S)


def blocks(source, word):
    """(name, body) of every `word NAME { … }`, nested braces included."""
    for match in re.finditer(rf"\b{word}\s+(\w+)\s*\{{", source):
        depth, at = 1, match.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(source[at], 0)
            at += 1
        yield match[1], source[match.end() : at - 1]


def messages():
    found = {}
    for path in sources(".proto"):
        for name, body in blocks(strip(text(path)), "message"):
            assert name not in found, f"{path}: message {name} is there twice"
            assert not re.search(r"\bmessage\s+\w+\s*\{", body), f"{path}: {name}: nested types are not used"
            found[name] = [(kind, field, int(number)) for kind, field, number in FIELD.findall(body)]
    return found


def test_no_message_contains_itself():
    graph = {
        name: {kind.split(".")[-1] for kind, _, _ in fields if kind not in SCALARS}
        for name, fields in messages().items()
    }
    assert len(graph) > 30, "the messages were not found"
    assert "Call" in graph["Envelope"], "oneof members were not found"
    assert cycles(graph) is None


def test_the_check_finds_a_recursion():
    assert cycles({"A": {"B"}, "B": {"C"}, "C": {"A"}}) == ["A", "B", "C", "A"]
    assert cycles({"A": {"A"}}) == ["A", "A"]
    assert cycles({"A": {"B", "C"}, "B": {"C"}}) is None


def test_field_numbers_and_names_are_unique():
    for name, fields in messages().items():
        numbers = [number for _, _, number in fields]
        names = [field for _, field, _ in fields]
        assert len(set(numbers)) == len(numbers), f"{name}: a number is there twice"
        assert len(set(names)) == len(names), f"{name}: a name is there twice"


def test_no_maps_and_no_optional():
    """Maps are unpacked outside the budget's sight, `optional` is refused by protoc-c 1.4.1."""
    for path in sources(".proto"):
        assert not re.search(r"\b(map\s*<|optional\b)", strip(text(path))), path
