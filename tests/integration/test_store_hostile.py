"""Archives that want something else than to be installed, and disks that are full."""

import gzip
import io
import os
import resource
import signal
import stat
import subprocess
import tarfile
import zipfile

import pytest

from plugtest import build, packs

MANIFEST = (
    "plugin: hostile\nversion: 1.0.0\ntype: interface\nexec: [./plugin]\ndescription: d\nlicense: MIT\n"
    "methods: { a: }\n"
)


def entry(name, kind=tarfile.REGTYPE, mode=0o644, link="", **fields):
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname = kind, mode, link
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def tar(path, *entries, mode="w:gz"):
    """A plugin, and what is to be refused."""
    with tarfile.open(path, mode) as archive:
        for name, text, bits in (("plugin.yaml", MANIFEST, 0o644), ("plugin", "#!/bin/sh\n", 0o755)):
            info = entry(name, mode=bits, size=len(text))
            archive.addfile(info, io.BytesIO(text.encode()))
        for info in entries:
            info, data = info if isinstance(info, tuple) else (info, b"")
            if data:
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


class Sandbox:
    """A store in a folder in which nothing else may change."""

    def __init__(self, site):
        self.site, self.root = site, site.root / "sandbox"
        self.root.mkdir()
        self.store = self.root / "store"
        (self.root / "victim").write_text("untouched")

    def install(self, archive, *options, **keys):
        return subprocess.run(
            [build.PLUGCTL, "install", str(archive), "--store", self.store, *map(str, options)],
            env=self.site.environment(), capture_output=True, text=True, timeout=build.seconds(60), **keys,
        )

    def check_untouched(self):
        assert (self.root / "victim").read_text() == "untouched"
        outside = {path.name for path in self.root.iterdir()} - {"store", "victim"}
        assert outside == set(), outside
        left = {path.name for path in self.store.iterdir()} - {".lock"} if self.store.exists() else set()
        assert left == set(), f"something was left in the store: {left}"

    def refused(self, archive, text, *options, **keys):
        done = self.install(archive, *options, **keys)
        assert done.returncode == 1, done
        assert text in done.stderr, done.stderr
        self.check_untouched()


@pytest.fixture
def sandbox(site):
    return Sandbox(site)


REFUSED = {
    "absolute": ([entry("/etc/plugd-was-here")], "an absolute name"),
    "absolute_victim": ([(entry("//victim"), b"x")], "an absolute name"),
    "dotdot": ([(entry("../../victim"), b"x")], "a name that is refused"),
    "dotdot_inside": ([(entry("a/../../victim"), b"x")], "a name that is refused"),
    "backslash": ([(entry("..\\victim"), b"x")], "a name that is refused"),
    "newline": ([(entry("a\nb"), b"x")], "a name that is refused"),
    "long_name": ([(entry("a" * 3000), b"x")], "a name of 3000 bytes"),
    "deep": ([(entry("/".join("d" * 40)), b"x")], "more than 32 folders deep"),
    "link_absolute": ([entry("l", tarfile.SYMTYPE, link="/etc/passwd")], "leads out of the plugin"),
    "link_up": ([entry("l", tarfile.SYMTYPE, link="../victim")], "leads out of the plugin"),
    "link_up_later": ([entry("d/l", tarfile.SYMTYPE, link="x/../../../victim")], "leads out of the plugin"),
    "link_empty": ([entry("l", tarfile.SYMTYPE, link="..")], "leads out of the plugin"),
    "write_through_link": (
        [entry("d", tarfile.DIRTYPE), entry("l", tarfile.SYMTYPE, link="d"), (entry("l/x"), b"x")],
        "a part of its path is a link",
    ),
    "write_over_link": (
        [entry("l", tarfile.SYMTYPE, link="plugin"), (entry("l"), b"x")], "the name is there twice",
    ),
    "hard_link_out": ([entry("h", tarfile.LNKTYPE, link="../victim")], "a hard link to"),
    "hard_link_absolute": ([entry("h", tarfile.LNKTYPE, link="/etc/passwd")], "a hard link to"),
    "hard_link_to_link": (
        [entry("l", tarfile.SYMTYPE, link="plugin"), entry("h", tarfile.LNKTYPE, link="l")], "a hard link to",
    ),
    "hard_link_to_nothing": ([entry("h", tarfile.LNKTYPE, link="later")], "a hard link to"),
    "character_device": ([entry("dev", tarfile.CHRTYPE, devmajor=1, devminor=3)], "a device"),
    "block_device": ([entry("dev", tarfile.BLKTYPE, devmajor=8)], "a device"),
    "fifo": ([entry("fifo", tarfile.FIFOTYPE)], "a pipe"),
    "setuid": ([(entry("root", mode=0o4755), b"x")], "setuid"),
    "setgid": ([(entry("root", mode=0o2755), b"x")], "setuid"),
    "double": ([(entry("plugin"), b"other")], "the name is there twice"),
    "double_dotted": ([(entry("./plugin"), b"other")], "the name is there twice"),
    "file_then_folder": ([(entry("plugin/x"), b"x")], "a part of its path is a link or a file"),
    "folder_then_file": ([entry("d", tarfile.DIRTYPE), (entry("d"), b"x")], "the name is there twice"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_archive_that_leads_out_is_refused(sandbox, case):
    entries, text = REFUSED[case]
    sandbox.refused(tar(sandbox.site.root / "hostile.tar.gz", *entries), text)


def test_links_and_hard_links_that_stay_inside_are_kept(sandbox):
    archive = tar(
        sandbox.site.root / "good.tar.gz",
        entry("d", tarfile.DIRTYPE),
        entry("d/up", tarfile.SYMTYPE, link="../plugin.yaml"),
        entry("copy", tarfile.LNKTYPE, link="plugin"),
    )
    assert sandbox.install(archive).returncode == 0
    folder = sandbox.store / "hostile/current"
    assert (folder / "d/up").read_text() == MANIFEST
    assert (folder / "copy").read_text() == "#!/bin/sh\n"
    packs.check_store(sandbox.store)


def test_a_huge_size_is_refused_before_it_is_written(sandbox):
    big = entry("big", size=1 << 40)
    path = sandbox.site.root / "huge.tar"
    path.write_bytes(tar(sandbox.site.root / "small.tar", mode="w").read_bytes()[:2048] + big.tobuf())
    sandbox.refused(path, "more than 8192 MiB")


def test_a_limit_of_the_callers(sandbox):
    archive = tar(sandbox.site.root / "a.tar.gz", (entry("a"), os.urandom(1000).hex().encode() * 1000))
    sandbox.refused(archive, "more than 1 MiB in all", "--max-size", "1MiB")
    assert sandbox.install(archive, "--max-size", "3MiB").returncode == 0


def test_a_hundred_thousand_entries(sandbox):
    path = sandbox.site.root / "many.tar.gz"
    block = b"".join(entry(f"f{number:06}").tobuf() for number in range(100_000))
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(block)
    sandbox.refused(path, "more than 20000 entries")


class Zeros(io.RawIOBase):
    def __init__(self, size):
        self.left = size

    def readable(self):
        return True

    def readinto(self, buffer):
        count = min(len(buffer), self.left)
        buffer[:count] = bytes(count)
        self.left -= count
        return count


@pytest.mark.parametrize("suffix", ["tar.gz", "tar.xz", "zip"])
def test_a_decompression_bomb(sandbox, suffix):
    path, size = sandbox.site.root / f"bomb.{suffix}", 200 << 20
    if suffix == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("zeros", "w") as file:
            for _ in range(size >> 20):
                file.write(bytes(1 << 20))
    else:
        with tarfile.open(path, f"w:{suffix[4:]}", **({"preset": 0} if suffix == "tar.xz" else {})) as archive:
            archive.addfile(entry("zeros", size=size), io.BufferedReader(Zeros(size), 1 << 20))
    assert path.stat().st_size < 1 << 20
    sandbox.refused(path, "a decompression bomb")


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst", ".zip"])
def test_archives_that_are_cut_off(sandbox, suffix):
    folder = packs.folder(sandbox.site.root, program=None, files={"plugin": "#!/bin/sh\n" * 500})
    whole = packs.archive(folder, suffix).read_bytes()
    cut = sandbox.site.root / f"cut{suffix}"
    for size in {0, 1, 20, len(whole) // 3, len(whole) // 2, len(whole) - 20, len(whole) - 9}:
        cut.write_bytes(whole[:size])
        done = sandbox.install(cut)
        assert done.returncode == 1 and done.stderr, (size, done)
        sandbox.check_untouched()


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst", ".zip"])
def test_every_kind_of_archive(sandbox, suffix):
    folder = packs.folder(sandbox.site.root, program="/bin/true", files={"data/ä ö.txt": "x"})
    done = sandbox.install(packs.archive(folder, suffix))
    assert done.returncode == 0, done
    packs.check_store(sandbox.store)
    current = sandbox.store / "actor/current"
    assert (current / "data/ä ö.txt").read_text() == "x"
    assert stat.S_IMODE((current / "plugin").stat().st_mode) == 0o755


def test_what_is_no_archive(sandbox):
    path = sandbox.site.root / "noise.tar.gz"
    path.write_bytes(os.urandom(5000))
    sandbox.refused(path, "cannot be unpacked")


def test_an_encrypted_zip(sandbox):
    path = sandbox.site.root / "secret.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("plugin.yaml", MANIFEST)
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the local header's flag
    central = data.index(b"PK\x01\x02")
    data[central + 8] |= 1
    path.write_bytes(data)
    sandbox.refused(path, "encrypted")


def test_a_folder_with_a_device_or_a_link_out(sandbox):
    folder = packs.folder(sandbox.site.root, program="/bin/true", exec=["./plugin"])
    os.mkfifo(folder / "fifo")
    sandbox.refused(folder, "a pipe")
    (folder / "fifo").unlink()
    (folder / "out").symlink_to("/etc")
    sandbox.refused(folder, "leads out of the plugin")
    (folder / "out").unlink()
    (folder / ".git").mkdir()
    (folder / ".git/config").write_text("left out")
    assert sandbox.install(folder).returncode == 0
    assert not (sandbox.store / "actor/current/.git").exists()


def test_a_program_outside_its_folder(sandbox):
    manifest = MANIFEST.replace("./plugin", "./elsewhere")
    path = sandbox.site.root / "outside.tar"
    with tarfile.open(path, "w") as archive:
        archive.addfile(entry("plugin.yaml", size=len(manifest)), io.BytesIO(manifest.encode()))
    sandbox.refused(path, "its manifest is not accepted")


def test_an_archive_without_a_manifest(sandbox):
    path = sandbox.site.root / "two.tar"
    with tarfile.open(path, "w") as archive:
        archive.addfile(entry("a", tarfile.DIRTYPE, mode=0o755))
        archive.addfile(entry("b", tarfile.DIRTYPE, mode=0o755))
    sandbox.refused(path, "no plugin.yaml in it")


# ---- full disks -------------------------------------------------------------------------------------------


def too_small_files():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def test_a_file_that_cannot_grow(sandbox):
    folder = packs.folder(sandbox.site.root, program="/bin/true", exec=["./plugin"], files={"big": "x" * 500_000})
    done = sandbox.install(packs.archive(folder), preexec_fn=too_small_files)
    assert done.returncode == 1 and "cannot be written: File too large" in done.stderr, done
    sandbox.check_untouched()
    assert sandbox.install(packs.archive(folder)).returncode == 0


@pytest.fixture
def small_disk(site):
    disk = site.root / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True)
    if done.returncode:
        pytest.skip("no file system may be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk(sandbox, small_disk):
    sandbox.store = small_disk / "store"
    folder = packs.folder(sandbox.site.root, program="/bin/true", exec=["./plugin"])
    first = packs.archive(folder)
    assert sandbox.install(first).returncode == 0
    bigger = packs.archive(
        packs.folder(sandbox.site.root, version="2.0.0", program="/bin/true", exec=["./plugin"],
                     files={f"f{n}": os.urandom(40_000).hex() for n in range(20)})
    )
    done = sandbox.install(bigger)
    assert done.returncode == 1 and "No space left on device" in done.stderr, done
    packs.check_store(sandbox.store)
    assert packs.leftovers(sandbox.store) == []
    assert os.readlink(sandbox.store / "actor/current") == ".versions/1.0.0/actor"
