"""plugctl validate: what it finds beside what the parser finds, and how a CI job uses it."""

import json
import os
import shutil
import subprocess

import pytest

from plugtest import build

HEAD = "plugin: {name}\nversion: 1.0.0\ntype: interface\ndescription: for tests\nlicense: Apache-2.0\nmethods: {{ x: {{}} }}\n"


def write(site, text, name="one", program=None, mode=0o755):
    """A plugin whose program has these bytes; without, one that is well."""
    path = site.manifest(name, HEAD.format(name=name) + text)
    target = path.parent / "program"
    if program is None:
        shutil.copy("/bin/true", target)
    else:
        target.write_bytes(program)
    target.chmod(mode)
    return path


def validate(site, *words):
    done = site.ctl("--json", "validate", *words)
    return done.status, done.json


def only(site, path, severity, said):
    """It finds this and nothing else."""
    status, document = validate(site, path)
    found, = document["plugins"][0]["diagnostics"]
    assert found["severity"] == severity and said in found["message"], found
    assert found["file"] == str(path)
    assert status == (1 if severity == "error" else 0)
    assert document["valid"] == (severity != "error")
    return found


def test_one_that_is_well(site):
    path = write(site, "exec: [./program]\n")
    status, document = validate(site, path)
    assert status == 0 and document["valid"]
    assert document["plugins"] == [{"path": str(path), "valid": True, "plugin": "one", "version": "1.0.0",
                                    "type": "interface", "errors": [], "warnings": [], "diagnostics": []}]
    done = site.ctl("validate", "--strict", path)
    assert done.status == 0 and done.err == ""
    assert site.ctl("validate", "--quiet", path).out == ""


def elf_of_another_machine():
    data = bytearray(open("/bin/true", "rb").read())
    data[18:20] = (0x28 if data[18] != 0x28 else 0x3E).to_bytes(2, "little")
    return bytes(data)


@pytest.mark.parametrize("program,mode,said", [
    (b"#!/no/such/python\n", 0o755, "#!/no/such/python"),
    (b"just text\n", 0o755, "neither an ELF program nor a script"),
    (b"", 0o755, "is empty"),
    (elf_of_another_machine(), 0o755, "another kind of processor"),
    (None, 0o644, "chmod +x"),
])
def test_a_program_that_cannot_run(site, program, mode, said):
    found = only(site, write(site, "exec: [./program]\n", program=program, mode=mode), "error", said)
    assert (found["line"], found["column"]) == (7, 7)


def test_the_kernel_agrees(site):
    """What is called wrong here cannot be executed."""
    for program in (b"#!/no/such/python\n", elf_of_another_machine()):
        path = write(site, "exec: [./program]\n", program=program).parent / "program"
        with pytest.raises(OSError):
            subprocess.run([path], check=True)


@pytest.mark.parametrize("text,said", [
    ("exec: [./program, ./missing.bin]\n", "./missing.bin looks like a file"),
    ("exec: [./program]\nrequires: { programs: [no-such-tool] }\n", "no-such-tool"),
    ("exec: [./program]\nrun: { user: no-such-user }\n", 'no user "no-such-user"'),
    ("exec: [./program]\nsandbox: { read: [/no/such/folder] }\n", "/no/such/folder"),
    ("exec: [./program]\nconfig: { key: { type: string, required: true } }\n", "config.key is required"),
    ("exec: [./program]\nprobe: { method: other }\n", '"other" is not among the methods'),
])
def test_what_is_warned_of(site, text, said):
    path = write(site, text)
    only(site, path, "warning", said)
    done = site.ctl("validate", "--strict", path)
    assert done.status == 1 and "1 of 1 not valid" in done.err and "valid:" not in done.out


def test_what_everybody_may_change(site):
    path = write(site, "exec: [./program]\n", mode=0o757)
    only(site, path, "error", "everybody may write")
    (path.parent / "program").chmod(0o755)
    path.chmod(0o646)
    only(site, path, "error", "chmod o-w")


def test_a_name_that_is_there_twice(site):
    first = write(site, "exec: [./program]\n", name="one")
    second = site.manifest("one", HEAD.format(name="one") + "exec: [/bin/true]\n", folder="two")
    status, document = validate(site, site.plugins)
    assert status == 1 and [one["valid"] for one in document["plugins"]] == [True, False]
    assert str(first) in document["plugins"][1]["errors"][0] and str(second) in document["plugins"][1]["errors"][0]
    site.start()
    assert len(site.ok("list")["bad"]) == 1, "plugd refuses it, too"


def test_the_shipped_plugins_and_new_ones_are_strict(site):
    assert site.ctl("validate", "--strict", build.ECHO).status == 0
    for type in ("model", "gateway"):
        subprocess.run([build.PLUGCTL, "new", type, type, "-l", "python", "-C", site.plugins], check=True, capture_output=True)
    done = site.ctl("validate", "--strict", site.plugins)
    assert done.status == 0, done


def test_it_executes_nothing(site):
    mark = site.root / "mark"
    path = write(site, "exec: [./program]\n", program=f"#!/bin/sh\ntouch {mark}\n".encode())
    assert site.ctl("validate", path).status == 0
    assert not mark.exists() and json.loads(site.ctl("--json", "validate", path).out)["valid"]
    assert os.access(path.parent / "program", os.X_OK)


def test_a_single_file_that_is_not_executable(site):
    """It has no exec: that could be pointed at."""
    path = site.root / "single.py"
    path.write_text("#!/usr/bin/python3\n# ---plugin---\n# plugin: one\n# version: 1.0.0\n# type: interface\n# ---end---\n")
    done = site.ctl("validate", path)
    assert done.status == 1 and f"{path}: error: exec: {path} is not executable" in done.err, done
