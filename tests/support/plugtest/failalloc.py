"""Allocations of a running program that fail: the test's side of tests/support/failalloc.c."""

import mmap
import re
import struct
import subprocess

from . import build

LIBRARY = build.BUILD / "tests" / "libfailalloc.so"
HEAD = struct.Struct("=IIqQ")
TRACE_BYTES = 3072

MEMORY, MMAP, MEMFD = 1, 2, 4
KINDS = {"memory": MEMORY, "mmap": MMAP, "memfd": MEMFD}

# What these do without memory is not ours to mend: libfyaml 0.7.12 dereferences the NULL, libev 4.33 ends the
# process with a message, the loader cannot be asked to go on.
EXCLUDED = ["libfyaml", "libev.so", "ld-linux"]


class FailAlloc:
    def __init__(self, site, program, excluded=EXCLUDED):
        self.program = program
        path = site.root / f"failalloc-{program}"
        path.write_bytes(bytes(HEAD.size + TRACE_BYTES))
        with open(path, "r+b") as file:
            self.shared = mmap.mmap(file.fileno(), 0)
        self.env = {
            "LD_PRELOAD": str(LIBRARY),
            "FAILALLOC_FILE": str(path),
            "FAILALLOC_PROGRAM": program,
            "FAILALLOC_EXCLUDE": ":".join(excluded),
        }

    def arm(self, spared, kinds=MEMORY):
        """The allocation after `spared` others fails."""
        HEAD.pack_into(self.shared, 0, 0, 0, spared, 0)
        self.shared[HEAD.size : HEAD.size + TRACE_BYTES] = bytes(TRACE_BYTES)
        struct.pack_into("=I", self.shared, 0, kinds)

    def disarm(self):
        """True: one has failed."""
        struct.pack_into("=I", self.shared, 0, 0)
        return bool(HEAD.unpack_from(self.shared, 0)[1])

    @property
    def counted(self):
        return HEAD.unpack_from(self.shared, 0)[3]

    def _frames(self):
        return self.shared[HEAD.size : HEAD.size + TRACE_BYTES].split(b"\0")[0].decode().splitlines()

    def owner(self):
        """Whose allocation it was: the first object that is not libc."""
        return next((line for line in self._frames() if not line.startswith("libc.so")), "")

    def trace(self):
        """Where it failed, with the lines of the program."""
        lines = []
        for line in self._frames():
            found = re.fullmatch(re.escape(self.program) + r"\+(0x[0-9a-f]+)", line)
            lines.append(self._line_of(found[1]) if found else line)
        return "\n".join(lines)

    def _line_of(self, address):
        paths = {"plugd": build.PLUGD, "plugctl": build.PLUGCTL}
        done = subprocess.run(
            ["addr2line", "-Cfpe", str(paths.get(self.program, build.BUILD / "tests" / self.program)), hex(int(address, 16) - 1)],
            capture_output=True, text=True,
        )
        return done.stdout.strip() or f"{self.program}+{address}"

    def close(self):
        self.shared.close()
