"""docs/migrating*.md, done as they say: each example in an empty directory of its own, with a plugd of its own."""

import pytest
from plugtest import pages

SECTIONS = {}
for page in ("migrating.md", "migrating-processes.md", "migrating-models.md"):
    SECTIONS.update(pages.sections(page))
BEGIN = SECTIONS.pop("Before you begin") + SECTIONS.pop("A server to try with")
EXAMPLES = {head: found for head, found in SECTIONS.items() if found}


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    where = tmp_path_factory.mktemp("prefix")
    pages.install(where)
    return where


def test_each_system_has_an_example():
    assert [head for head in SECTIONS if head not in EXAMPLES] == ["What is not there for anybody"]
    assert len(EXAMPLES) == 9
    for head, found in EXAMPLES.items():
        assert any(path for _, path, _ in found), f"{head}: no file"
        assert any(language == "console" for language, _, _ in found), f"{head}: no command"


@pytest.mark.parametrize("head", EXAMPLES, ids=lambda head: head.split()[0].rstrip(":,").lower())
def test_the_example_does_what_it_says(site, prefix, head):
    folder = site.root / "t"
    folder.mkdir()
    shell = pages.Shell(folder, pages.shell_environment(site, prefix))
    try:
        assert pages.follow(shell, folder, BEGIN + EXAMPLES[head]) > 5
        assert "has ended" in shell.type("plugctl shutdown")
    finally:
        shell.type("plugctl shutdown; [ -z \"$SERVER\" ] || kill $SERVER")
        shell.close()
