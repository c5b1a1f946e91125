"""The training text: Jane Austen's six novels, from Debian's r-cran-janeaustenr.

The novels are in the public domain.  They come as an R lazy-load database
(Rdata.rdx, Rdata.rdb), which is read here directly, so R is not needed.
"""

import bz2
import gzip
import lzma
import pathlib
import re
import struct
import subprocess
import tempfile
import zlib

PACKAGE = "r-cran-janeaustenr"
DATA = "usr/lib/R/site-library/janeaustenr/data"
NOVELS = ("sensesensibility", "prideprejudice", "mansfieldpark", "emma", "northangerabbey",
          "persuasion")
CHAPTER = re.compile(r"^\s*chapter\s+(\d+|[ivxlc]+)\b\.?", re.IGNORECASE)
HELD_OUT_EVERY = 20


class RReader:
    """Reads the values of R's XDR serialisation that a list of strings needs."""

    def __init__(self, data):
        self.data = data
        self.at = 0
        self.refs = []
        if self.take(2) != b"X\n":
            raise ValueError("not R's XDR serialisation")
        version = self.int()
        self.take(8)
        if version == 3:
            self.take(self.int())

    def take(self, n):
        self.at += n
        return self.data[self.at - n:self.at]

    def int(self):
        return struct.unpack(">i", self.take(4))[0]

    def ints(self, n):
        return list(struct.unpack(f">{n}i", self.take(4 * n)))

    def value(self):
        flags = self.int()
        kind = flags & 0xFF
        if kind == 254:
            return None
        if kind == 255:
            return self.refs[(flags >> 8) - 1]
        if kind == 1:
            self.refs.append(self.value())
            return self.refs[-1]
        if kind == 2:
            return self.pairlist(flags)
        if kind == 9:
            n = self.int()
            return None if n < 0 else self.take(n).decode("utf-8")
        return self.vector(kind, flags)

    def pairlist(self, flags):
        attributes = self.value() if flags & 0x200 else None
        tag = self.value() if flags & 0x400 else None
        head = self.value()
        tail = self.value() or {}
        del attributes
        return {tag: head, **tail}

    def vector(self, kind, flags):
        n = self.int()
        if kind in (10, 13):
            items = self.ints(n)
        elif kind == 14:
            items = list(struct.unpack(f">{n}d", self.take(8 * n)))
        elif kind in (16, 19):
            items = [self.value() for _ in range(n)]
        else:
            raise ValueError(f"R value of type {kind} is not expected in this file")
        names = (self.value() or {}).get("names") if flags & 0x200 else None
        return dict(zip(names, items)) if names else items


def inflate(blob, kind):
    if kind == 1:
        return zlib.decompress(blob[4:])
    codec = {b"2": bz2.decompress, b"Z": lzma_raw, b"0": bytes}
    return codec[blob[4:5]](blob[5:])


def lzma_raw(blob):
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6}]
    return lzma.decompress(blob, lzma.FORMAT_RAW, filters=filters)


def lazy_load(folder):
    """Yields every (name, value) of an R lazy-load database."""
    raw = (folder / "Rdata.rdx").read_bytes()
    index = RReader(zlib.decompress(raw) if raw[:1] == b"\x78" else gzip.decompress(raw)).value()
    store = (folder / "Rdata.rdb").read_bytes()
    kind = index["compressed"][0]
    for name, (offset, length) in index["variables"].items():
        yield name, RReader(inflate(store[offset:offset + length], kind)).value()


def unpack_package(folder):
    subprocess.run(["apt-get", "download", "-q", PACKAGE], cwd=folder, check=True)
    deb = next(folder.glob(f"{PACKAGE}_*.deb"))
    subprocess.run(["dpkg-deb", "-x", str(deb), str(folder)], check=True)
    return folder / DATA


def paragraphs(lines):
    """Joins the printed lines of a book into paragraphs without italics marks."""
    block = []
    for line in [*lines, ""]:
        line = " ".join(line.replace("_", "").split())
        if line:
            block.append(line)
        elif block:
            yield " ".join(block)
            block = []


def chapters(lines):
    """Yields each chapter as paragraphs; what stands before the first is left out."""
    current = None
    for text in paragraphs(lines):
        if CHAPTER.match(text) and len(text) < 40:
            if current:
                yield current
            current = []
        elif current is not None and not re.match(r"^(volume|the end|finis)\b", text.lower()):
            current.append(text)
    if current:
        yield current


def load():
    """Returns (training, held_out): two lists of documents, one document a chapter."""
    with tempfile.TemporaryDirectory() as tmp:
        books = dict(lazy_load(unpack_package(pathlib.Path(tmp))))
    train, held_out = [], []
    for novel in NOVELS:
        for i, chapter in enumerate(chapters(books[novel])):
            dest = held_out if i % HELD_OUT_EVERY == HELD_OUT_EVERY // 2 else train
            dest.append("\n\n".join(chapter) + "\n")
    return train, held_out


if __name__ == "__main__":
    parts = load()
    for label, docs in zip(("training", "held out"), parts):
        print(f"{label}: {len(docs)} chapters, {sum(map(len, docs))} characters")
