"""Pages of docs/, done as they say.

A block "```LANGUAGE file=PATH" is written to PATH, in the order of the page; one that begins with "#!" can be executed.  A
block "```console" is typed: a line that begins with "$ " is a command, the lines after it are what it prints, in which
"…" stands for anything.
"""

import re
import shlex
import subprocess
import time

from . import build

DOCS = build.SOURCE / "docs"
BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.S | re.M)


def blocks(page):
    """[(language, path, text)]; the path is "" where the block names none."""
    found = BLOCK.findall((DOCS / page).read_text())
    assert found, f"no block in {page}"
    return found


def sections(page):
    """{heading of the second level: its blocks}"""
    parts = re.split(r"^## (.*)$", (DOCS / page).read_text(), flags=re.M)
    return {head: BLOCK.findall(body) for head, body in zip(parts[1::2], parts[2::2])}


def commands(text):
    """[(command, what it prints)]"""
    found = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def pattern(lines):
    """A line that is only "…" stands for any number of lines."""
    parts = []
    for line in lines:
        if line.strip() == "…":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(".*".join(re.escape(piece) for piece in line.split("…")) + r"[ ]*\n")
    return re.compile("".join(parts))


class Shell:
    """One shell for the whole page, so that variables and the directory last."""

    MARK = "@@end of command@@"

    def __init__(self, folder, env):
        self.process = subprocess.Popen(
            ["/bin/sh"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=env,
            text=True,
        )

    def type(self, command):
        """Run it; what it printed.  $? is kept for the next command."""
        self.process.stdin.write(f"{command}\n__s=$?; echo {shlex.quote(self.MARK)}; (exit $__s)\n")
        self.process.stdin.flush()
        printed = []
        for line in self.process.stdout:
            before, mark, _ = line.partition(self.MARK)
            if mark:
                return "".join(printed) + before
            printed.append(line)
        raise AssertionError(f"the shell ended at: {command}\n{''.join(printed)}")

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def install(prefix):
    subprocess.run(
        ["cmake", "--install", str(build.BUILD), "--prefix", str(prefix)], check=True, capture_output=True
    )


def shell_environment(site, prefix):
    env = site.environment()
    env["PATH"] = f"{prefix / 'bin'}:/usr/local/bin:/usr/bin:/bin"
    env["CMAKE_PREFIX_PATH"] = str(prefix)
    if build.SANITIZE:  # what links a sanitized library is sanitized itself
        env["CFLAGS"] = f"-fsanitize={build.SANITIZE}"
    for name in ("ASAN_OPTIONS", "TSAN_OPTIONS"):  # the page sends SIGSEGV, which is no fault of the program's
        env[name] = env.get(name, "") + ":handle_segv=0"
    return env


def wait_for_door(shell, folder):
    """plugd in the background is there when its socket is."""
    shell.type(f"until [ -S {folder}/run/plugd.sock ]; do kill -0 $! || break; sleep 0.05; done")


LOOKS = ("crashes", "events", "list", "logs", "stats", "status")  # change nothing: may be asked again


def type_until(shell, command, wanted):
    """A look at what plugd knows comes too early when the page has just killed a process: plugd hears of it from the
    kernel, not from the shell."""
    deadline = time.monotonic() + build.seconds(10)
    said = shell.type(command)
    while command.split()[:1] == ["plugctl"] and command.split()[1] in LOOKS:
        if wanted.fullmatch(said) or time.monotonic() > deadline:
            break
        said = shell.type(command)
    return said


def follow(shell, folder, found):
    """Write and type the blocks in a folder; how many commands were typed.  Each has to print what the page says."""
    typed = 0
    for language, path, text in found:
        if path:
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            if text.startswith("#!"):
                target.chmod(0o755)
        elif language == "console":
            for command, printed in commands(text):
                said = type_until(shell, command, pattern(printed))
                assert pattern(printed).fullmatch(said), (
                    f"$ {command}\n--- the page says\n" + "\n".join(printed) + f"\n--- it printed\n{said}"
                )
                typed += 1
                if command.startswith("plugd ") and command.endswith("&"):
                    wait_for_door(shell, folder)
    return typed
