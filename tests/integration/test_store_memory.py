"""Out of memory at any allocation of an install: an error and a whole store, or an installed plugin."""

import os

import pytest

from plugtest import build, failalloc, packs

# libarchive 3.6.2 uses the NULL where it opens an archive; what it links has its memory from the same place.
EXCLUDED = failalloc.EXCLUDED + ["libarchive", "liblzma", "libzstd", "libz.so", "libbz2", "libacl"]
STRIDE = int(os.environ.get("PLUG_ALLOC_STRIDE", "9"))
FIRST = int(os.environ.get("PLUG_ALLOC_FIRST", "0"))

pytestmark = pytest.mark.skipif(bool(build.SANITIZE), reason="a sanitizer has an allocator of its own")


@pytest.mark.parametrize("kind", ["archive", "folder"])
def test_an_install_says_so(site, kind):
    failing = failalloc.FailAlloc(site, "plugctl", EXCLUDED)
    store = site.root / "store"
    source = packs.folder(site.root, program="/bin/true", exec=["./plugin"], files={"d/a": "a", "d/b": "b"})
    if kind == "archive":
        source = packs.archive(source)
    spared, failed = FIRST, 0
    while True:
        failing.arm(spared)
        done = site.ctl("install", source, "--store", store, env=failing.env)
        hit = failing.disarm()
        assert done.status >= 0, f"allocation {spared}: {done}\n{failing.trace()}"
        assert done.out if done.status == 0 else done.err, f"allocation {spared}: {done}\n{failing.trace()}"
        packs.check_store(store)
        if not hit:
            break
        failed += 1
        spared += STRIDE
        if done.status == 0:
            site.ok("uninstall", "actor", "--store", store)
    failing.close()
    print(f"{failed} failed, up to number {spared}")
    assert done.status == 0 and failed >= 5
    assert packs.leftovers(store) == []
