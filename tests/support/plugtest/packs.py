"""Plugins as they are shipped: folders, archives, signatures; and what a store has to look like."""

import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tarfile

from . import build


def folder(root, name="actor", version="1.0.0", program=build.ACTOR, files=None, exec=None, says=None, **keys):
    """A plugin's folder below `root`; `says`: the version that the program itself names."""
    path = pathlib.Path(root) / f"{name}-{version}"
    path.mkdir(parents=True)
    document = {
        "plugin": name,
        "version": version,
        "type": "interface",
        "exec": exec or ["./plugin", "--version", says or version],
        "description": "packed by a test",
        "license": "MIT",
        "methods": {"echo": {}},
        "run": {
            "backoff": {"min": "10ms", "max": "100ms"},
            "start_timeout": f"{build.seconds(20):.0f}s",
            "stop_timeout": "2s",
        },
    }
    document.update(keys)
    (path / "plugin.yaml").write_text(json.dumps(document, indent=1) + "\n")
    if program:
        shutil.copy(program, path / "plugin")
        (path / "plugin").chmod(0o755)
    for file, text in (files or {}).items():
        (path / file).parent.mkdir(parents=True, exist_ok=True)
        (path / file).write_text(text)
    return path


def archive(path, suffix=".tar.gz"):
    """An archive of a folder, beside it."""
    made = pathlib.Path(str(path) + suffix)
    mode = {".tar": "w", ".tar.gz": "w:gz", ".tar.xz": "w:xz", ".tar.bz2": "w:bz2"}.get(suffix)
    if mode:
        with tarfile.open(made, mode) as tar:
            tar.add(path, arcname=path.name)
    elif suffix == ".zip":
        shutil.make_archive(str(path), "zip", path.parent, path.name)
    else:
        subprocess.run(["tar", "--zstd", "-cf", made, "-C", path.parent, path.name], check=True)
    return made


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


class Key:
    """A key of minisign's, made by minisign."""

    def __init__(self, root, name):
        self.public, self.secret = pathlib.Path(root) / f"{name}.pub", pathlib.Path(root) / f"{name}.key"
        subprocess.run(
            ["minisign", "-G", "-W", "-p", self.public, "-s", self.secret], check=True, capture_output=True
        )
        self.id = re.search(r"key ([0-9A-F]+)", self.public.read_text())[1].zfill(16)

    def sign(self, path, legacy=False, comment="made for a test"):
        subprocess.run(
            ["minisign", "-S", *(["-l"] if legacy else ["-H"]), "-s", self.secret, "-t", comment, "-m", path],
            check=True,
            capture_output=True,
        )
        return pathlib.Path(str(path) + ".minisig")


def check_version(path, name):
    """A version's folder is whole, as its record and its list say."""
    record = (path / "pinned.yaml").read_text()
    sums = (path / "SHA256SUMS").read_bytes()
    assert hashlib.sha256(sums).hexdigest() in record, f"{path}: the list is not the one that was pinned"
    listed = dict(reversed(line.split("  ", 1)) for line in sums.decode().splitlines())
    found = {
        str(file.relative_to(path)): sha256(file)
        for file in (path / name).rglob("*")
        if file.is_file() and not file.is_symlink() and ".venv" not in file.parts
    }
    assert found == listed, f"{path}: not the files that were installed"


def check_store(store):
    """What must hold at every moment, whoever was killed."""
    plugins = [entry for entry in store.iterdir() if not entry.name.startswith(".")] if store.exists() else []
    for plugin in plugins:
        versions = plugin / ".versions"
        for version in versions.iterdir() if versions.exists() else []:
            if (version / "pinned.yaml").exists():
                check_version(version, plugin.name)
        current = plugin / "current"
        if current.is_symlink():
            chosen = plugin / os.readlink(current)
            assert chosen.is_dir() and (chosen.parent / "pinned.yaml").exists(), f"{current}: not installed"


def leftovers(store):
    """Names in a store that nothing explains, once nobody is at work there."""
    left = [entry.name for entry in store.glob(".stage-*")]
    for versions in store.glob("*/.versions"):
        left += [str(entry) for entry in versions.iterdir() if not (entry / "pinned.yaml").exists()]
        left += [str(versions)] if not any(versions.iterdir()) else []
    return left
