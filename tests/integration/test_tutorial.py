"""docs/writing-a-plugin.md and docs/protocol.md, done as they say."""

import shutil

import pytest
from plugtest import build, pages


def test_the_tutorial_does_what_it_says(site, tmp_path):
    prefix = tmp_path / "prefix"
    pages.install(prefix)
    folder = site.root / "t"
    folder.mkdir()
    shell = pages.Shell(folder, pages.shell_environment(site, prefix))
    try:
        typed = pages.follow(shell, folder, pages.blocks("writing-a-plugin.md"))
        assert typed > 20
        assert not (folder / "run" / "plugd.sock").exists(), "plugd still runs at the end of the page"
    finally:
        shell.type("plugctl shutdown")
        shell.close()


@pytest.mark.parametrize("size", [5, 48 * 1024, 100_000])
def test_the_python_plugin_of_the_protocol_page(site, size):
    for _, path, text in pages.blocks("protocol.md"):
        if path:
            target = site.plugins / path
            target.parent.mkdir(exist_ok=True)
            target.write_text(text)
            target.chmod(0o755)
    for module in ("plug_pb2.py", "admin_pb2.py"):
        shutil.copy(build.BUILD / "tests" / "python" / module, site.plugins / "upper")
    site.start()
    site.ready("upper")
    said = site.ctl("call", "upper", "upper", "--raw", "-c", "text/plain", "-", input=b"plugd" * (size // 5))
    assert said.status == 0, said.err
    assert said.out == b"PLUGD" * (size // 5)
    for _ in range(100):  # more than one acknowledgement's worth
        assert site.ctl("call", "upper", "upper", "-c", "text/plain", "x").out == "X\n"
    assert site.status("upper")["generation"] == 1
