"""Who may include whom: docs/architecture.md has the picture, this is the rule."""

import os
import pathlib

import pytest
from lint_support import ROOT, files, includes, sources

# Each may include itself and those named.
ALLOWED = {
    "proto": set(),
    "sdk/include": {"proto"},
    "sdk/shared": {"proto", "sdk/include"},
    "sdk/plugin": {"proto", "sdk/include", "sdk/shared"},
    "sdk/client": {"proto", "sdk/include", "sdk/shared"},
    "supervisor/base": {"proto"},
    "supervisor/state": {"proto", "supervisor/base"},
    "supervisor/core": {"proto", "supervisor/base"},
    "supervisor/os": {"proto", "supervisor/base", "supervisor/core"},
    "supervisor/store": {"proto", "supervisor/base", "supervisor/core", "supervisor/os"},
    "supervisor/ipc": {"proto", "supervisor/base", "supervisor/state", "supervisor/core"},
    "supervisor/plugin": {
        "proto", "supervisor/base", "supervisor/state", "supervisor/core", "supervisor/os",
        "supervisor/ipc",
    },
    "supervisor/serve": {
        "proto", "supervisor/base", "supervisor/state", "supervisor/core", "supervisor/os",
        "supervisor/ipc", "supervisor/plugin",
    },
    "supervisor/upgrade": {
        "proto", "supervisor/base", "supervisor/state", "supervisor/core", "supervisor/os",
        "supervisor/ipc", "supervisor/plugin", "supervisor/serve",
    },
    "supervisor": {
        "proto", "supervisor/base", "supervisor/state", "supervisor/core", "supervisor/os",
        "supervisor/ipc", "supervisor/plugin", "supervisor/serve", "supervisor/upgrade", "supervisor/store",
    },
    "tools/bench/load": {"proto", "sdk/include"},
    "tools/plugctl": {
        "proto", "sdk/include", "sdk/client", "supervisor/base", "supervisor/core", "supervisor/os",
        "supervisor/store", "tools/bench/load",
    },
    "tools/bench": {
        "proto", "sdk/include", "sdk/client", "supervisor/base", "supervisor/ipc",
        "tools/bench/load",
    },
    "plugins": {"sdk/include", "proto/include"},
}
LAYERS = sorted(ALLOWED, key=len, reverse=True)
GENERATED = {"plug.pb-c.h": "proto", "admin.pb-c.h": "proto", "state.pb-c.h": "supervisor/state"}


def layer_of(path):
    for layer in LAYERS:
        if path.startswith(layer + "/"):
            return layer
    return None


def resolve(path, kind, what):
    """The file of this repository that an include means, or None for a library's."""
    if what in GENERATED:
        return GENERATED[what] + "/" + what
    here = os.path.normpath(os.path.join(os.path.dirname(path), what))
    candidates = [here] if kind == "quoted" else []
    candidates += [
        os.path.join(root, what)
        for root in (
            "supervisor", "proto", "proto/include", "sdk/include", "sdk/shared", "sdk/client",
            "sdk/plugin", "tools/plugctl", "tools/bench", "tools/bench/load",
        )
    ]
    known = set(files())
    return next((candidate for candidate in candidates if candidate in known), None)


CODE = [path for path in sources(".c", ".h") if layer_of(path)]


@pytest.mark.parametrize("layer", sorted(ALLOWED))
def test_a_layer_includes_lower_ones_only(layer):
    wrong = []
    for path in CODE:
        if layer_of(path) != layer:
            continue
        for line, kind, what in includes(path):
            target = resolve(path, kind, what)
            if target is None:
                continue
            of = layer_of(target)
            inside = of == layer and (layer != "plugins" or same_plugin(path, target))
            if not inside and of not in ALLOWED[layer]:
                if layer == "plugins" and target.startswith(("sdk/include/", "proto/include/")):
                    continue
                wrong.append(f"{path}:{line}: {what} is in {of}")
    assert not wrong, "\n".join(wrong)


def same_plugin(path, target):
    """plugins/<type>s/<name>/"""
    return path.split("/")[:3] == target.split("/")[:3]


def test_plugins_use_the_public_headers_only():
    wrong = []
    for path in CODE:
        if not path.startswith("plugins/"):
            continue
        for line, kind, what in includes(path):
            target = resolve(path, kind, what)
            if target and not target.startswith("plugins/") and not what.startswith("plug/"):
                wrong.append(f"{path}:{line}: {what}")
    assert not wrong, "\n".join(wrong)


def test_public_headers_include_public_headers_only():
    wrong = []
    for path in sources(".h", below=("sdk/include/", "proto/include/")):
        for line, kind, what in includes(path):
            target = resolve(path, kind, what)
            if kind == "quoted" or (target and not what.startswith("plug/")):
                wrong.append(f"{path}:{line}: {what}")
    assert not wrong, "\n".join(wrong)


def test_only_the_bench_links_nng():
    wrong = [
        f"{path}:{line}"
        for path in CODE
        for line, _, what in includes(path)
        if what.startswith("nng/") and layer_of(path) != "tools/bench"
    ]
    assert not wrong, "\n".join(wrong)


def cycles(graph):
    """A cycle of the graph, as a list, or None."""
    done, path = set(), []

    def visit(node):
        if node in done:
            return None
        if node in path:
            return path[path.index(node):] + [node]
        path.append(node)
        for target in graph.get(node, ()):
            found = visit(target)
            if found:
                return found
        path.pop()
        done.add(node)
        return None

    for node in sorted(graph):
        found = visit(node)
        if found:
            return found
    return None


def test_headers_do_not_include_each_other_in_a_circle():
    graph = {
        path: [t for _, kind, what in includes(path) if (t := resolve(path, kind, what))]
        for path in CODE
        if path.endswith(".h")
    }
    assert cycles(graph) is None


PART_OF = {"client_queue": "doorman"}  # its header says so


def module_of(path):
    """cgroup_dir.c and cgroup_private.h are of cgroup, where there is a cgroup.h."""
    path = pathlib.PurePath(path)
    stem = PART_OF.get(path.stem, path.stem)
    words = stem.split("_")
    for count in range(1, len(words)):
        if str(path.parent / ("_".join(words[:count]) + ".h")) in files():
            return "_".join(words[:count])
    return stem


@pytest.mark.parametrize(
    "layer", ["proto", "supervisor/base", "supervisor/core", "supervisor/os", "supervisor/ipc"]
)
def test_siblings_do_not_include_each_other_in_a_circle(layer):
    """The .c and the .h of a module are one node."""
    graph = {}
    for path in CODE:
        if layer_of(path) != layer:
            continue
        for _, kind, what in includes(path):
            target = resolve(path, kind, what)
            if target and layer_of(target) == layer and module_of(target) != module_of(path):
                graph.setdefault(module_of(path), set()).add(module_of(target))
    assert cycles(graph) is None


def test_the_tree_has_what_the_rules_are_about():
    """A rule for a folder that is not there would hold for ever."""
    for layer in ALLOWED:
        if layer != "tools/bench":
            assert (ROOT / layer).is_dir(), layer
    assert len(CODE) > 100
