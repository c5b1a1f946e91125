"""What is in the tree: tracked files, and new ones that git does not ignore."""

import functools
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


@functools.lru_cache
def files():
    """Relative paths; all files below the root when there is no git, as in an archive."""
    try:
        listed = subprocess.run(
            ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-co", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout.splitlines()
    except (FileNotFoundError, subprocess.CalledProcessError):
        listed = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file()]
        listed = [path for path in listed if not re.match(r"(build[^/]*|out|\.venv[^/]*|\.git)/", path)]
    return sorted(path for path in listed if (ROOT / path).is_file())


def sources(*suffixes, below=("",)):
    return [path for path in files() if path.endswith(suffixes) and path.startswith(tuple(below))]


def text(path):
    return (ROOT / path).read_text(errors="replace")


def includes(path):
    """(line, "quoted" or "angle", what) of every #include."""
    found = []
    for number, line in enumerate(text(path).splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', line)
        if match:
            found.append((number, "quoted" if match[1] else "angle", match[1] or match[2]))
    return found
