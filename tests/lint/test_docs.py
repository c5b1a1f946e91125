"""What the documentation says of other files is so."""

import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\(([^)#\s]+)?(#[^)]+)?\)")


def tracked(*patterns):
    names = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--", *patterns], check=True, capture_output=True, text=True
    ).stdout
    return [ROOT / name for name in names.split("\0") if name]


def anchors(page):
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {"#" + re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", tracked("*.md"), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target, anchor in LINK.findall(re.sub(r"```.*?```", "", page.read_text(), flags=re.S)):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), f"{page.relative_to(ROOT)}: {target}"
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), f"{page.relative_to(ROOT)}: {target}{anchor}"


def test_every_page_is_installed():
    """Pages link each other, and pictures."""
    listed = re.search(r"install\(FILES \$\{lifecycle\}(.*?)DESTINATION", (ROOT / "docs/CMakeLists.txt").read_text(), re.S)[1]
    made = "manifest.md"  # by tools/reference, with the manual pages
    there = {path.name for path in tracked("docs/*.md", "docs/*.svg") if path.parent.name == "docs"} - {made}
    assert there == {name for name in listed.split() if "/" not in name}


def numbers(path, prefix):
    return dict(re.findall(rf"#define ({prefix}\w+)\s+\(?(\d+)", (ROOT / path).read_text()))


def test_protocol_numbers():
    page = (ROOT / "docs/protocol.md").read_text()
    wire = numbers("proto/wire.h", "PLUG_")
    vitals = numbers("proto/vitals.h", "PLUG_VITALS_")
    assert f"at most {wire['PLUG_MESSAGE_BYTES']} KiB (65,536 bytes)" in page
    assert f"At most {wire['PLUG_CHUNK_BYTES']} KiB (49,152 bytes) of payload" in page
    assert f"received {wire['PLUG_ACK_MESSAGES']} messages or {wire['PLUG_ACK_BYTES']} KiB" in page
    assert f"of {vitals['PLUG_VITALS_BYTES']} bytes" in page
    assert f"at least every {vitals['PLUG_VITALS_TICK_MS']} ms" in page


def test_protocol_outcomes():
    """Codes and names in the table of outcomes are those of plug/error.h."""
    codes = dict(re.findall(r"X\((PLUG_\w+), (\d+),", (ROOT / "proto/include/plug/error.h").read_text()))
    rows = re.findall(r"^\| `(PLUG_\w+)` \| (\d+) \|", (ROOT / "docs/protocol.md").read_text(), re.M)
    assert len(rows) >= 10
    for name, code in rows:
        assert codes[name] == code, name


def test_lifecycle_names_every_state():
    page = (ROOT / "docs/lifecycle.md").read_text()
    header = (ROOT / "supervisor/core/lifecycle.h").read_text()
    for kind, count in (("PROCESS", 9), ("SLOT", 8)):
        table = header.split(f"LC_{kind}_STATE_MAP(X)")[1].split("#define")[0]
        states = re.findall(r'X\((\w+), "(\w+)"', table)
        assert len(states) == count
        for state, word in states:
            assert state in page, state
            assert word in ("gone", "stopped") or f"`{word}`" in page, word
    states = re.findall(r'X\((\w+), "', header.split("LC_RELOAD_STATE_MAP(X)")[1].split("#define")[0])
    assert len(states) == 6
    for state in states:
        assert state in page, state


def test_packages_of_the_readme_are_the_quickstart_s():
    script = (ROOT / "tools/quickstart.sh").read_text()
    packages = set(re.search(r'PACKAGES="(.*?)"', script, re.S)[1].replace("\\", "").split())
    readme = (ROOT / "README.md").read_text()
    listed = set(re.search(r"apt-get install ((?:.*\\\n)*.*)\n", readme)[1].replace("\\", "").split())
    assert packages == listed
