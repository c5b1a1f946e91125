"""requires.packages: what has to be in the environment of a plugin's Python, found without executing anything."""

import json
import os
import shutil
import subprocess

import pytest

from plugtest import build, packs

HEAD = "plugin: one\nversion: 1.0.0\ntype: interface\ndescription: for tests\nlicense: Apache-2.0\nmethods: {{ x: {{}} }}\n{}"


def site_packages(folder):
    return folder / ".venv" / "lib" / "python3.11" / "site-packages"


def provide(folder, *names):
    """An environment that has these, as far as anyone looks who executes nothing."""
    for name in names:
        (site_packages(folder) / f"{name}.dist-info").mkdir(parents=True)


def remove(folder, name):
    (site_packages(folder) / f"{name}.dist-info").rmdir()


def needs(site, *packages, **keys):
    """The actor; its folder."""
    return site.actor(requires={"packages": list(packages)}, **keys).parent


def bad(site):
    one, = site.ok("list")["bad"]
    return "\n".join(one["errors"])


def test_what_is_missing_keeps_it_out(site):
    folder = needs(site, "numpy >=1.26,<3", "PyYAML")
    provide(folder, "numpy-1.24.1")
    site.actor("well")
    site.start()
    site.ready("well")
    text = bad(site)
    assert f'requires.packages: found numpy 1.24.1 in {site_packages(folder)}; expected "numpy >=1.26,<3": ' in text
    assert f"{folder}/.venv/bin/python -m pip install 'numpy>=1.26,<3'; then: plugctl reread" in text
    assert f"found no PyYAML in {folder}/.venv/lib/python3.*" in text
    assert f"{folder}/plugin.yaml:" in text and ":1:1:" not in text, "the place is that of the requirement"
    done = site.run("--check")
    assert done.status == 1 and "found numpy 1.24.1" in done.err
    remove(folder, "numpy-1.24.1")
    provide(folder, "numpy-1.26.4", "pyyaml-6.0")
    site.ok("reread")
    site.ready()
    assert site.ok("list")["bad"] == []


def test_they_are_looked_at_before_every_start(site):
    folder = needs(site, "numpy >=1.26")
    provide(folder, "numpy-2.0")
    site.start()
    site.ready()
    remove(folder, "numpy-2.0")
    assert site.call("actor", "echo", {"a": 1}) == {"a": 1}, "what runs goes on"
    done = site.ctl("restart", "actor")
    assert done.status == 1 and f"found no numpy in {folder}/.venv" in done.err, done
    status = site.status("actor")
    assert status["state"] == "failed" and "requires.packages: found no numpy" in status["why"]
    assert site.event("failed", "actor", detail="requires.packages")
    assert site.status("actor")["restarts"] == status["restarts"], "it is not tried again and again"
    provide(folder, "numpy-2.1")
    site.ok("start", "actor")
    assert site.word("actor") == "ready"


def test_a_reload_keeps_the_old_process(site):
    folder = needs(site, "numpy >=1.26")
    provide(folder, "numpy-2.0")
    site.start()
    pid = site.ready()["pid"]
    remove(folder, "numpy-2.0")
    done = site.ctl("reload", "actor")
    assert done.status == 1 and "requires.packages: found no numpy" in done.err, done
    assert site.status("actor")["pid"] == pid
    assert site.call("actor", "echo", {}) == {}


def test_a_search_finds_them_gone(site):
    """What runs goes on, and the next search that finds them forgets about it."""
    folder = needs(site, "numpy >=1.26")
    provide(folder, "numpy-2.0")
    site.start()
    pid = site.ready()["pid"]
    remove(folder, "numpy-2.0")
    site.ok("reread")
    assert "found no numpy" in bad(site) and "in force" in bad(site)
    assert site.status("actor")["pid"] == pid and site.call("actor", "echo", {}) == {}
    provide(folder, "numpy-2.0")
    site.ok("reread")
    assert site.ok("list")["bad"] == []
    assert site.status("actor")["pid"] == pid


def test_a_death_finds_them_gone(site):
    folder = needs(site, "numpy >=1.26")
    provide(folder, "numpy-2.0")
    site.start()
    site.ready()
    remove(folder, "numpy-2.0")
    site.ctl("call", "actor", "die", '{"signal": 9}')
    assert site.event("failed", "actor", detail="requires.packages")
    assert site.word("actor") == "failed"


def test_an_upgrade_does_not_look(site):
    folder = needs(site, "numpy")
    provide(folder, "numpy-2.0")
    site.start()
    pid = site.ready()["pid"]
    remove(folder, "numpy-2.0")
    site.ok("upgrade", "--daemon")
    assert site.status("actor")["pid"] == pid


def test_info_names_them(site):
    folder = needs(site, "numpy >=1.26,<3", "PyYAML")
    provide(folder, "numpy-1.26", "PyYAML-6.0")
    site.start()
    assert site.ok("info", "actor")["requires"] == ["package numpy >=1.26,<3", "package PyYAML"]
    assert "package numpy >=1.26,<3" in site.ctl("info", "actor").out


def test_pythonpath_counts(site):
    folder = site.root / "lib"
    (folder / "numpy-2.0.dist-info").mkdir(parents=True)
    needs(site, "numpy ~=2.0", run={"env": {"PYTHONPATH": str(folder)}})
    site.start()
    site.ready()


def validate(site, text, *words):
    path = site.manifest("one", HEAD.format(text))
    if not (path.parent / "program").exists():
        shutil.copy("/bin/true", path.parent / "program")
    done = site.ctl("--json", "validate", *words, path)
    return done.status, done.json["plugins"][0]["diagnostics"]


def test_validate(site):
    wants = "exec: [./program]\nrequires: { packages: [\"no-such-package >=1\"] }\n"
    status, (found,) = validate(site, wants)
    assert status == 0 and found["severity"] == "warning" and "cannot start on this machine" in found["message"]
    assert 'expected "no-such-package >=1"' in found["message"] and found["line"] == 8
    assert validate(site, wants, "--strict")[0] == 1
    provide(site.plugins / "one", "no_such_package-1.5")
    assert validate(site, wants, "--strict") == (0, [])


def test_validate_before_there_is_an_environment(site):
    wants = "exec: [./program]\nenvironment: { python: r.txt }\nrequires: { packages: [numpy] }\n"
    (site.plugins / "one").mkdir()
    (site.plugins / "one" / "r.txt").write_text("numpy\n")
    assert validate(site, wants) == (0, [])
    provide(site.plugins / "one", "pandas-1.0")
    status, (found,) = validate(site, wants)
    assert status == 1 and found["severity"] == "error" and "found no numpy" in found["message"]


def test_an_install_that_makes_the_wrong_environment(site):
    """The manifest promises what requirements.txt does not bring."""
    site.start()
    folder = packs.folder(
        site.root, files={"requirements.txt": ""}, environment={"python": "requirements.txt"},
        requires={"packages": ["tiny >=2"]},
    )
    bin = site.root / "bin"
    bin.mkdir()
    made = ".venv/lib/python3.11/site-packages"
    (bin / "python3").write_text(
        f"#!/bin/sh\nmkdir -p .venv/bin {made}/tiny-$TINY.dist-info\n"
        'printf "#!/bin/sh\\nexit 0\\n" >.venv/bin/python; chmod +x .venv/bin/python\n'
    )
    (bin / "python3").chmod(0o755)
    env = {"PATH": f"{bin}:{os.environ['PATH']}", "TINY": "1.0"}
    done = site.ctl("install", folder, env=env)
    assert done.status == 1 and "found tiny 1.0 in" in done.err and 'expected "tiny >=2"' in done.err, done
    assert "nothing was installed" in done.err
    assert site.ok("list")["plugins"] == [], "nothing is left of it"
    env["TINY"] = "2.0"
    done = site.ctl("--json", "install", folder, env=env)
    assert done.status == 0 and done.json["environment"] and done.json["state"] == "ready", done


@pytest.mark.skipif(not os.path.exists("/usr/bin/python3"), reason="no Python of the system")
def test_it_finds_what_python_finds(site):
    """Of the system's own packages, against what importlib says of them."""
    code = (
        "import importlib.metadata as m, json; "
        "print(json.dumps([[d.metadata['Name'], d.version] for d in m.distributions()]))"
    )
    python = ["/usr/bin/python3", "-S", "-c", "import sys; sys.path.append('/usr/lib/python3/dist-packages'); " + code]
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    listed = json.loads(subprocess.run(python, env=env, check=True, capture_output=True, text=True).stdout)
    if not listed:
        pytest.skip("the system has no packages")
    packages = {name.lower().replace("_", "-"): version.split("+")[0] for name, version in listed if name}
    site.actor(requires={"packages": [f"{name} =={version}" for name, version in sorted(packages.items())[:60]]})
    site.start()
    site.ready()
