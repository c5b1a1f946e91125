"""Format, sizes, shell scripts, paths, public headers."""

import re
import subprocess

import pytest
from lint_support import ROOT, files, sources, text

LINES_MAX = 500


def test_clang_format():
    paths = sources(".c", ".h")
    done = subprocess.run(
        ["clang-format", "--dry-run", "-Werror", *paths], cwd=ROOT, capture_output=True, text=True
    )
    wrong = sorted({line.split(":")[0] for line in done.stderr.splitlines() if "error:" in line})
    assert done.returncode == 0, "run clang-format -i on:\n" + "\n".join(wrong)


@pytest.mark.parametrize("kind", [".c", ".h"])
def test_no_file_is_too_long(kind):
    long = {path: n for path in sources(kind) if (n := text(path).count("\n")) > LINES_MAX}
    assert not long, f"above {LINES_MAX} lines, to be split: {long}"


def test_shell_scripts_parse():
    scripts = [
        path for path in files()
        if path.endswith(".sh") or (ROOT / path).open("rb").read(64).startswith(b"#!/bin/sh")
    ]
    assert "tests/run.sh" in scripts and ".ci/run" in scripts
    for path in scripts:
        done = subprocess.run(["sh", "-n", path], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, f"{path}: {done.stderr}"


def test_no_paths_of_a_machine():
    """What is committed knows no home and no workplace."""
    pattern = re.compile(r"/(?:work|root|home)/")
    wrong = []
    for path in files():
        data = (ROOT / path).read_bytes()
        if b"\0" in data[:4096] or path.endswith((".safetensors", ".json.gz")):
            continue
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
            match = pattern.search(line)
            if match and path != "tests/lint/test_style.py":
                wrong.append(f"{path}:{number}: {line.strip()[:120]}")
    assert not wrong, "\n".join(wrong)


def test_nothing_unfinished_is_left():
    wrong = [
        f"{path}:{number}"
        for path in sources(".c", ".h", ".proto", ".cmake", "CMakeLists.txt")
        for number, line in enumerate(text(path).splitlines(), 1)
        if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line)
    ]
    assert not wrong, "\n".join(wrong)


PUBLIC = sources(".h", below=("sdk/include/plug/", "proto/include/plug/"))
COMPILERS = {
    "c11": ["gcc", "-std=c11", "-x", "c"],
    "gnu17": ["gcc", "-std=gnu17", "-x", "c"],
    "clang": ["clang", "-std=c11", "-x", "c"],
    "c++": ["g++", "-std=c++11", "-x", "c++"],
}


@pytest.mark.parametrize("compiler", sorted(COMPILERS))
@pytest.mark.parametrize("header", PUBLIC)
def test_a_public_header_compiles_alone(header, compiler):
    name = header.partition("include/")[2]
    done = subprocess.run(
        [*COMPILERS[compiler], "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only",
         "-Isdk/include", "-Iproto/include", "-"],
        input=f"#include <{name}>\n#include <{name}>\nextern int not_empty;\n",
        cwd=ROOT, capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stderr


def test_the_public_headers_were_found():
    assert len(PUBLIC) >= 4, PUBLIC


def test_every_function_that_is_public_is_exported():
    """A declaration without PLUG_API is there in a static build and missing in a shared one."""
    wrong = []
    for path in PUBLIC:
        code = re.sub(r"/\*.*?\*/", "", text(path), flags=re.S)
        for match in re.finditer(r"^(?!typedef|\s|#)((?:static[^\n;{}]*\n)?[^\n;{}]*?\bplug_\w+)\(", code, flags=re.M):
            if "PLUG_API" not in match[1] and "static" not in match[1]:
                wrong.append(f"{path}: {match[1]}")
    assert not wrong, "\n".join(wrong)
