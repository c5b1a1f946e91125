"""Plugins in plugd's store: installed, pinned, signed, versions side by side, upgraded, removed."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import zipfile

import pytest

from plugtest import build, packs, site as sites


@pytest.fixture
def store(site):
    """plugd with a store; `site.store` is where it is."""
    site.configure({"store": {"dir": "store"}})
    site.store = site.root / "store"
    site.start()
    return site


def install(site, path, *options, **keys):
    return site.ok("install", path, *options, **keys)


def refused(site, *words, status=1):
    done = site.ctl(*words)
    assert done.status == status, done
    return done.err


def chosen(site, name="actor"):
    return os.readlink(site.store / name / "current").split("/")[1]


def installed(site, name="actor"):
    return [one["version"] for one in site.ok("versions", name)["plugins"][0]["versions"]]


# ---- install -----------------------------------------------------------------------------------------------


def test_an_installed_plugin_is_noticed_and_started(store):
    archive = packs.archive(packs.folder(store.root))
    done = install(store, archive)
    assert (done["name"], done["version"], done["sha256"]) == ("actor", "1.0.0", packs.sha256(archive))
    assert done["chosen"] and not done["already"] and done["signed_by"] is None and done["state"] == "ready"
    assert store.call("actor", "echo", {"a": 1}) is not None
    packs.check_store(store.store)
    assert packs.leftovers(store.store) == []
    assert store.status("actor")["path"].startswith(str(store.store / "actor/.versions/1.0.0/actor"))


def test_a_folder_is_installed_as_it_is(store):
    folder = packs.folder(store.root)
    assert install(store, folder)["state"] == "ready"
    shutil.rmtree(folder)
    store.ok("restart", "actor")


SNAKE = """#!/usr/bin/python3
# ---plugin---
# plugin: snake
# version: %s
# type: interface
# methods: { echo: }
# run: { start_timeout: 60s }
# ---end---
import sys, os
sys.path.insert(0, %r)
os.environ["PLUG_BUILD_DIR"] = %r
from plugtest.rogue import *
r = Rogue(["echo"])
r.hello(version=%r)
r.expect("welcome")
r.send(ready=pb.Ready())
r.serve(lambda r, e: r.reply(e.id, b'"hiss"'))
"""


def snake(site, version):
    path = site.root / f"snake-{version}.py"
    path.write_text(SNAKE % (version, str(build.SOURCE / "tests/support"), str(build.BUILD), version))
    path.chmod(0o644)  # as it was downloaded
    return path


def test_a_plugin_that_is_one_file(store):
    assert install(store, snake(store, "1.0.0"))["state"] == "ready"
    assert store.call("snake", "echo") == "hiss"
    packed = packs.archive(snake(store, "2.0.0"), ".tar")
    assert store.ok("upgrade", "snake", packed)["state"] == "ready"
    assert chosen(store, "snake") == "2.0.0" and store.status("snake")["version"] == "2.0.0"
    file = store.store / "snake/current/snake"
    assert store.status("snake")["path"] == str(file.resolve())
    file.write_text(file.read_text() + "# changed\n")
    assert "was changed after it was installed" in refused(store, "restart", "snake")
    store.ok("use", "snake", "1.0.0")
    store.ok("uninstall", "snake")


def test_what_is_looked_for_while_it_is_upgraded(store):
    """The new version is in force, and the old one, not gone yet, is still the chosen one: that is not what is started next."""
    install(store, packs.folder(store.root, exec=["./plugin", "--version", "1.0.0", "--stop-deaf"]))
    upgrading = store.ctl_start("upgrade", "actor", packs.folder(store.root, version="2.0.0"))
    store.event("ready", "actor", generation=2)
    install(store, packs.folder(store.root, name="other"))  # plugd notices that, and looks at everything
    upgrading.communicate(timeout=build.seconds(30))
    assert upgrading.returncode == 0 and store.status("actor")["version"] == chosen(store) == "2.0.0"
    store.ok("restart", "actor")
    assert store.status("actor")["version"] == chosen(store) == "2.0.0"


def test_a_program_that_is_no_plugin(store):
    assert "manifest" in refused(store, "install", "/bin/true")
    assert [entry.name for entry in store.store.iterdir()] == [".lock"]


def test_by_policy_it_is_not_started(store):
    folder = packs.folder(store.root, run={"autostart": False})
    assert install(store, folder)["state"] == "stopped"


def test_the_same_again_is_no_change(store):
    archive = packs.archive(packs.folder(store.root))
    install(store, archive)
    generation = store.status("actor")["generation"]
    assert install(store, archive)["already"]
    assert store.status("actor")["generation"] == generation


def test_another_archive_of_the_same_version_is_refused(store):
    install(store, packs.archive(packs.folder(store.root)))
    shutil.rmtree(store.root / "actor-1.0.0")
    other = packs.archive(packs.folder(store.root, files={"more": "x"}))
    assert "is installed already, with other files" in refused(store, "install", other)


def test_what_plugd_does_not_take_is_told(store):
    folder = packs.folder(store.root, requires={"plugins": ["nowhere >=1"]})
    err = refused(store, "install", folder)
    assert 'there is no plugin "nowhere"' in err, err


def test_a_name_that_another_plugin_has(store):
    store.actor()
    store.ok("reread")
    store.ready()
    done = store.ctl("install", packs.folder(store.root))
    assert str(store.store) not in store.status("actor")["path"]
    assert done.status == 1 and "from another folder" in done.err, done


def test_a_manifest_with_errors(store):
    folder = packs.folder(store.root)
    (folder / "plugin.yaml").write_text("plugin: actor\nversion: x\n")
    err = refused(store, "install", folder)
    assert "plugin.yaml:2" in err and "nothing was installed" in err
    assert packs.leftovers(store.store) == [] and not (store.store / "actor").exists()


def test_only_the_owner_installs(store):
    install(store, packs.folder(store.root))
    if os.geteuid():
        pytest.skip("another user can only be had by root")
    os.chown(store.store, 12345, 12345)
    try:
        # Root acts as the owner, who may not even come here.
        assert "Permission denied" in refused(store, "install", packs.folder(store.root, version="2.0.0"))
    finally:
        os.chown(store.store, 0, 0)
    os.chmod(store.store, 0o777)
    assert "others can change what plugd runs" in refused(store, "uninstall", "actor")
    # plugd neither: what runs goes on, and nothing is read from there.
    assert "nothing of it is started" in refused(store, "reload", "actor")
    assert store.word("actor") == "ready"
    os.chmod(store.store, 0o755)
    store.ok("reload", "actor")


@pytest.mark.parametrize("uid", [65534, 54321], ids=["nobody", "without a name"])
def test_root_installs_as_the_owner(site, uid):
    if os.geteuid():
        pytest.skip("another user can only be had by root")
    if build.SANITIZE:
        pytest.skip("a sanitizer's report cannot be written as another user")
    archive = packs.archive(packs.folder(site.root, program="/bin/true", exec=["./plugin"]))
    archive.chmod(0o600)
    site.root.chmod(0o755)
    path = site.root / "theirs"
    path.mkdir()
    os.chown(path, uid, uid)
    done = subprocess.run(
        [build.PLUGCTL, "install", "--store", path / "store", archive], env=site.environment(), capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done
    assert {entry.lstat().st_uid for entry in path.rglob("*")} == {uid}


# ---- digests -------------------------------------------------------------------------------------------------


def test_a_digest_that_must_be_right(store):
    archive = packs.archive(packs.folder(store.root))
    wrong = "0" * 64
    err = refused(store, "install", archive, "--sha256", wrong)
    assert packs.sha256(archive) in err and wrong in err
    assert not (store.store / "actor").exists()
    install(store, archive, "--sha256", packs.sha256(archive).upper())


def test_a_digest_that_is_none(store):
    assert store.ctl("install", store.plugins, "--sha256", "12").status == 2


@pytest.mark.parametrize("way", ["replaced", "in place"])
def test_a_program_that_was_changed_is_not_started(store, way):
    install(store, packs.folder(store.root))
    program = store.store / "actor/current/plugin"
    pinned = packs.sha256(program)
    changed = bytearray(program.read_bytes())
    changed[-1] ^= 1
    store.ok("stop", "actor")
    if way == "replaced":
        program.unlink()
        program.write_bytes(changed)
        program.chmod(0o755)
    else:
        with open(program, "r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(changed[-1:])
    err = refused(store, "start", "actor")
    assert packs.sha256(program) in err and pinned in err, err
    assert store.word("actor") == "failed"
    assert "was changed after it was installed" in store.ctl("versions", "--verify").out
    # And the way back.
    assert not install(store, store.root / "actor-1.0.0")["already"]
    store.ok("start", "actor")


def test_a_script_that_was_changed_is_not_started(store):
    """The interpreter is the system's; what it is given came with the plugin."""
    path = store.script("script", "r = Rogue()\nr.start()\nr.serve()\n")
    run = json.loads(path.read_text())["run"]
    path.unlink()
    text = (store.root / "script.py").read_text()
    folder = packs.folder(
        store.root, name="script", program=None, exec=["/usr/bin/python3", "main.py"], run=run,
        files={"main.py": text}, methods={"echo": {}},
    )
    assert install(store, folder)["state"] == "ready"
    with open(store.store / "script/current/main.py", "a") as file:
        file.write("# changed\n")
    err = refused(store, "restart", "script")
    assert "main.py was changed after it was installed" in err, err


def test_a_manifest_that_was_changed_is_refused(store):
    install(store, packs.folder(store.root))
    manifest = store.store / "actor/current/plugin.yaml"
    pinned = packs.sha256(manifest)
    manifest.write_text(manifest.read_text() + "\n")
    err = refused(store, "reload", "actor")
    assert packs.sha256(manifest) in err and pinned in err
    assert store.word("actor") == "ready"  # what runs goes on


def test_a_plugin_that_was_only_copied_there(store):
    shutil.copytree(packs.folder(store.root), store.store / "actor/.versions/1.0.0/actor")
    (store.store / "actor/current").symlink_to(".versions/1.0.0/actor")
    store.ctl("reread")
    bad = store.ok("list")["bad"]
    assert len(bad) == 1 and "was not installed" in json.dumps(bad)


def test_pins_go_over_an_upgrade_of_plugd(store):
    install(store, packs.folder(store.root))
    store.ok("upgrade", "--daemon")
    program = store.store / "actor/current/plugin"
    data = program.read_bytes()
    program.unlink()
    program.write_bytes(data + b"x")
    program.chmod(0o755)
    assert "was changed after it was installed" in refused(store, "restart", "actor")


# ---- signatures -----------------------------------------------------------------------------------------------


@pytest.fixture
def keys(store):
    if not shutil.which("minisign"):
        pytest.skip("minisign is not installed")
    (store.runtime / "state").mkdir(exist_ok=True)
    trusted = store.runtime / "state" / "keys"
    trusted.mkdir()
    ours, theirs = packs.Key(store.root, "ours"), packs.Key(store.root, "theirs")
    shutil.copy(ours.public, trusted / "ours.pub")
    return ours, theirs


@pytest.mark.parametrize("legacy", [False, True], ids=["prehashed", "legacy"])
def test_a_signature_by_a_trusted_key(store, keys, legacy):
    archive = packs.archive(packs.folder(store.root))
    keys[0].sign(archive, legacy, comment="release of a test")
    assert install(store, archive)["signed_by"] == keys[0].id
    record = store.ok("versions", "actor")["plugins"][0]["versions"][0]
    assert (record["signed_by"], record["comment"]) == (keys[0].id, "release of a test")


def test_a_signature_by_an_unknown_key(store, keys):
    archive = packs.archive(packs.folder(store.root))
    keys[1].sign(archive)
    err = refused(store, "install", archive)
    assert keys[1].id in err and "not among the 1 trusted ones" in err
    assert install(store, archive, "--key", keys[1].public)["signed_by"] == keys[1].id


def test_a_key_that_was_given_is_the_only_one(store, keys):
    archive = packs.archive(packs.folder(store.root))
    keys[0].sign(archive)
    assert f"signed by key {keys[0].id}, expected {keys[1].id}" in refused(
        store, "install", archive, "--key", keys[1].public
    )
    text = keys[0].public.read_text().splitlines()[1]
    assert install(store, archive, "--key", text)["signed_by"] == keys[0].id


def test_without_a_signature_a_key_is_not_enough(store, keys):
    archive = packs.archive(packs.folder(store.root))
    assert "is not signed" in refused(store, "install", archive, "--key", keys[0].public)
    install(store, archive)


def test_a_signature_of_another_file(store, keys):
    archive = packs.archive(packs.folder(store.root))
    signature = keys[0].sign(archive)
    other = packs.archive(packs.folder(store.root, version="2.0.0"))
    shutil.copy(signature, f"{other}.minisig")
    assert "is not of these bytes" in refused(store, "install", other)


def test_a_trusted_comment_that_was_changed(store, keys):
    archive = packs.archive(packs.folder(store.root))
    signature = keys[0].sign(archive, comment="honest")
    signature.write_text(signature.read_text().replace("honest", "hijack"))
    assert "the trusted comment is not the one" in refused(store, "install", archive)


def test_where_signatures_are_required(store, keys):
    archive = packs.archive(packs.folder(store.root))
    install(store, archive)
    store.configure({"store": {"dir": "store", "require_signature": True}})
    store.ok("reread")
    status = store.status()
    assert status["store_signed"] and status["store_dir"] == str(store.store)
    assert f"only what is signed by a key in {status['store_keys']}" in store.ctl("status").out
    # What is installed and not signed goes on, but is read no more.
    assert "it is signed by nobody" in refused(store, "reload", "actor")
    other = packs.folder(store.root, version="2.0.0")
    unsigned = packs.archive(other)
    assert "is not signed" in refused(store, "install", unsigned)
    assert "does not change that" in refused(store, "install", unsigned, "--no-signature")
    assert "a folder cannot be signed" in refused(store, "install", other)
    keys[1].sign(unsigned)
    assert "not among the 1 trusted ones" in refused(store, "install", unsigned, "--key", keys[1].public)
    keys[0].sign(unsigned)
    assert store.ok("upgrade", "actor", unsigned)["signed_by"] == keys[0].id
    # The older one gets its signature without being unpacked again.
    keys[0].sign(archive)
    assert install(store, archive)["already"]
    store.ok("use", "actor", "1.0.0")


def test_what_is_looked_for_while_a_signed_one_follows(store, keys):
    """The old one, not gone yet, would be read no more: that is no reason to forget the plugin."""
    install(store, packs.folder(store.root, exec=["./plugin", "--version", "1.0.0", "--stop-deaf"]))
    store.configure({"store": {"dir": "store", "require_signature": True}})
    store.ok("reread")
    signed = [packs.archive(packs.folder(store.root, version="2.0.0")), packs.archive(packs.folder(store.root, name="other"))]
    for archive in signed:
        keys[0].sign(archive)
    upgrading = store.ctl_start("upgrade", "actor", signed[0])
    store.event("ready", "actor", generation=2)
    install(store, signed[1])
    upgrading.communicate(timeout=build.seconds(30))
    assert upgrading.returncode == 0 and store.status("actor")["version"] == chosen(store) == "2.0.0"


def test_a_key_that_is_trusted_no_more(store, keys):
    archive = packs.archive(packs.folder(store.root))
    keys[0].sign(archive)
    install(store, archive)
    store.configure({"store": {"dir": "store", "require_signature": True}})
    store.ok("reread")
    store.ok("reload", "actor")
    (store.runtime / "state/keys/ours.pub").unlink()
    assert keys[0].id in refused(store, "reload", "actor")


# ---- versions ---------------------------------------------------------------------------------------------------


def test_versions_side_by_side(store):
    for version in ("1.0.0", "1.10.0", "1.9.0"):
        install(store, packs.folder(store.root, version=version))
    assert installed(store) == ["1.10.0", "1.9.0", "1.0.0"]
    assert chosen(store) == "1.0.0" and store.status("actor")["version"] == "1.0.0"
    done = store.ok("use", "actor", "1.10.0")
    assert done["state"] == "ready" and "from version 1.0.0 to 1.10.0" in done["detail"]
    assert chosen(store) == "1.10.0" and store.status("actor")["version"] == "1.10.0"
    store.event("chosen", "actor", "1.10.0")
    text = store.ctl("versions").out
    assert re.search(r"\* actor +1\.10\.0 ", text) and re.search(r"  actor +1\.9\.0 ", text)


def test_the_chosen_version_is_that_of_the_next_plugd(store):
    install(store, packs.folder(store.root))
    install(store, packs.folder(store.root, version="2.0.0"), "--use")
    store.stop()
    store.start()
    store.ready()
    assert store.status("actor")["version"] == "2.0.0"


def test_a_version_that_is_not_installed(store):
    install(store, packs.folder(store.root))
    assert "version 3.0.0 is not installed" in refused(store, "use", "actor", "3.0.0", status=4)


def test_of_a_plugin_that_is_stopped(store):
    install(store, packs.folder(store.root))
    install(store, packs.folder(store.root, version="2.0.0"))
    store.ok("stop", "actor")
    store.ok("use", "actor", "2.0.0")
    assert chosen(store) == "2.0.0" and store.word("actor") == "stopped"
    store.ok("start", "actor")
    assert store.status("actor")["version"] == "2.0.0"


def test_calls_go_on_while_the_version_changes(store):
    from test_reload import Load

    install(store, packs.folder(store.root))
    load = Load(store)
    load.start()
    store.ok("upgrade", "actor", packs.folder(store.root, version="1.1.0"))
    store.ok("use", "actor", "1.0.0")
    assert load.finish() > 0


# ---- upgrade ----------------------------------------------------------------------------------------------------


def test_an_upgrade(store):
    install(store, packs.folder(store.root))
    done = store.ok("upgrade", "actor", packs.archive(packs.folder(store.root, version="1.1.0"), ".tar.xz"))
    assert done["state"] == "ready" and "from version 1.0.0 to 1.1.0" in done["detail"]
    assert chosen(store) == "1.1.0" and installed(store) == ["1.1.0", "1.0.0"]


def test_an_upgrade_that_does_not_become_ready(store):
    install(store, packs.folder(store.root))
    pid = store.status("actor")["pid"]
    bad = packs.folder(store.root, version="2.0.0", says="1.0.0")  # plugd refuses what it says
    err = refused(store, "upgrade", "actor", bad)
    assert "version 1.0.0 stays in force" in err and "2.0.0 was removed again" in err
    assert chosen(store) == "1.0.0" and installed(store) == ["1.0.0"]
    assert store.status("actor")["pid"] == pid
    assert store.word("actor") == "ready"


def test_an_upgrade_of_one_that_had_failed_does_not_help(store):
    install(store, packs.folder(store.root, says="9.9.9"))
    assert store.word("actor") == "failed"
    refused(store, "upgrade", "actor", packs.folder(store.root, version="2.0.0", says="9.9.9"))
    assert chosen(store) == "1.0.0" and installed(store) == ["1.0.0"]
    assert store.status("actor")["version"] == "1.0.0"
    assert store.ok("upgrade", "actor", packs.folder(store.root, version="3.0.0"))["state"] == "ready"
    assert chosen(store) == "3.0.0"


def test_one_that_fails_soon_after_is_rolled_back_in_the_store_too(store):
    install(store, packs.folder(store.root))
    store.ok("upgrade", "actor", packs.folder(store.root, version="2.0.0"))
    assert chosen(store) == "2.0.0"
    os.kill(store.status("actor")["pid"], signal.SIGKILL)
    store.event("rolled-back", "actor")
    store.event("chosen", "actor", "version 1.0.0")
    assert chosen(store) == "1.0.0"


def test_plugd_killed_in_an_upgrade(store):
    """Before the new version is ready, the old one is the chosen one."""
    install(store, packs.folder(store.root))
    gate = store.fifo("gate")
    slow = packs.folder(store.root, version="2.0.0", exec=["./plugin", "--version", "2.0.0", "--start-wait", str(gate)])
    upgrade = store.ctl_start("upgrade", "actor", slow)
    store.event("started", "actor", detail="2.0.0")
    pid = store.pid
    os.kill(pid, signal.SIGKILL)
    store.process.wait(build.seconds(30))
    store._forget_process()
    upgrade.communicate(timeout=build.seconds(30))
    packs.check_store(store.store)
    assert chosen(store) == "1.0.0"
    store.__dict__.pop("pid", None)
    store.start()
    store.ready()
    assert store.status("actor")["version"] == "1.0.0"


def test_plugctl_killed_in_an_upgrade(store):
    """plugd goes on with what it was asked for."""
    install(store, packs.folder(store.root))
    gate = store.fifo("gate")
    slow = packs.folder(
        store.root, version="2.0.0", exec=["./plugin", "--version", "2.0.0", "--start-wait", str(gate)]
    )
    upgrade = store.ctl_start("upgrade", "actor", slow)
    store.event("started", "actor", detail="2.0.0")
    upgrade.kill()
    upgrade.communicate()
    assert chosen(store) == "1.0.0"
    sites.fifo_send(gate)
    store.event("chosen", "actor", "version 2.0.0")
    assert chosen(store) == "2.0.0" and store.status("actor")["version"] == "2.0.0"
    packs.check_store(store.store)


def test_an_upgrade_of_what_is_not_installed(store):
    store.store.mkdir()
    assert "plugctl install" in refused(store, "upgrade", "actor", packs.folder(store.root), status=4)


def test_an_upgrade_to_another_plugin(store):
    install(store, packs.folder(store.root))
    other = packs.folder(store.root, name="other")
    assert 'it is the plugin "other", expected "actor"' in refused(store, "upgrade", "actor", other)


def test_an_upgrade_that_others_do_not_want(store):
    install(store, packs.folder(store.root))
    install(store, packs.folder(store.root, name="user", requires={"plugins": ["actor <2"]}))
    err = refused(store, "upgrade", "actor", packs.folder(store.root, version="2.0.0"))
    assert 'user requires "actor <2"; found 2.0.0' in err
    assert chosen(store) == "1.0.0"


def test_an_upgrade_of_what_plugd_does_not_take(store):
    """There is no process to roll back to; the link goes back all the same."""
    install(store, packs.folder(store.root))
    store.ok("stop", "actor")
    manifest = store.store / "actor/current/plugin.yaml"
    manifest.write_text(manifest.read_text() + "\n")
    store.stop()
    store.start()
    assert store.ok("list")["plugins"] == []
    bad = packs.folder(store.root, version="2.0.0", requires={"plugins": ["nowhere"]})
    assert "nowhere" in refused(store, "upgrade", "actor", bad)
    assert chosen(store) == "1.0.0" and installed(store) == ["1.0.0"]
    done = store.ok("upgrade", "actor", packs.folder(store.root, version="3.0.0"))
    assert done["state"] == "ready" and chosen(store) == "3.0.0"


# ---- uninstall ---------------------------------------------------------------------------------------------------


def test_uninstall(store):
    install(store, packs.folder(store.root))
    pid = store.watch(store.status("actor")["pid"])
    store.ok("uninstall", "actor")
    assert pid.gone(0) and store.ok("list")["plugins"] == []
    assert [entry.name for entry in store.store.iterdir()] == [".lock"]


def test_uninstall_what_others_require(store):
    install(store, packs.folder(store.root))
    for name in ("one", "two"):
        install(store, packs.folder(store.root, name=name, requires={"plugins": ["actor >=1"]}))
    err = refused(store, "uninstall", "actor")
    assert "is required by one, two" in err
    assert store.word("actor") == "ready"
    assert store.ok("info", "actor")["required_by"] == ["one", "two"]
    store.ok("uninstall", "one")
    store.ok("uninstall", "two")
    store.ok("uninstall", "actor")


def test_uninstall_a_version(store):
    install(store, packs.folder(store.root))
    install(store, packs.folder(store.root, version="2.0.0"))
    assert "is the chosen one" in refused(store, "uninstall", "actor@1.0.0")
    store.ok("uninstall", "actor@2.0.0")
    assert installed(store) == ["1.0.0"] and store.word("actor") == "ready"
    refused(store, "uninstall", "actor@2.0.0", status=4)
    store.ok("uninstall", "actor@1.0.0")  # the last one is all of it
    assert not (store.store / "actor").exists()


def test_versions_where_there_is_no_store(store):
    assert store.ok("versions")["plugins"] == []
    assert refused(store, "versions", "actor", status=4)
    assert "nothing is installed" in store.ctl("versions").out


def test_uninstall_what_is_not_installed(store):
    install(store, packs.folder(store.root))
    assert "is not installed" in refused(store, "uninstall", "nobody", status=4)


def test_a_store_without_plugd(site):
    path = site.root / "image/store"
    words = ("--store", path)
    site.ok("install", packs.folder(site.root), *words)
    site.ok("install", packs.folder(site.root, name="user", requires={"plugins": ["actor"]}), *words)
    site.ok("install", packs.folder(site.root, version="2.0.0"), *words)
    site.ok("use", "actor", "2.0.0", *words)
    err = site.ctl("uninstall", "actor", *words)
    assert err.status == 1 and "is required by user" in err.err
    assert site.ctl("versions", "--verify", *words).status == 0
    site.configure({"store": {"dir": str(path)}})
    site.start()
    site.ready()
    assert site.status("actor")["version"] == "2.0.0"


def test_without_plugd_and_without_a_store(site):
    done = site.ctl("install", packs.folder(site.root))
    assert done.status == 3 and "--store" in done.err


# ---- the environment of a plugin -----------------------------------------------------------------------------------


def wheel(folder):
    """A package without a network."""
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / "tiny-1.0-py3-none-any.whl"
    info = "tiny-1.0.dist-info/"
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("tiny.py", 'WORD = "from the environment"\n')
        archive.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(info + "RECORD", "")
    return made


def python_plugin(site, requirements, **keys):
    path = site.script("rogue", "r = Rogue()\nr.start()\nr.serve()\n")
    run = json.loads(path.read_text())["run"]
    shutil.rmtree(path.parent)
    main = (
        "import os, sys, tiny\nprint(tiny.WORD, sys.prefix, flush=True)\n"
        f"os.execv('/usr/bin/python3', ['python3', '{site.root}/rogue.py'])\n"
    )
    return packs.folder(
        site.root, name="rogue", program=None, exec=[".venv/bin/python", "main.py"], run=run,
        files={"main.py": main, "requirements.txt": requirements},
        environment={"python": "requirements.txt", **keys},
    )


def test_a_python_environment_is_made(store):
    folder = python_plugin(store, "./wheels/tiny-1.0-py3-none-any.whl\n")
    wheel(folder / "wheels")
    validated = store.ctl("validate", folder)  # before there is one
    assert validated.status == 0 and "is not there yet: plugctl install makes it" in validated.err
    done = install(store, folder, timeout=85)  # pip itself takes 5 s of a processor
    assert done["environment"] and done["state"] == "ready"
    where = store.store / "rogue/.versions/1.0.0/rogue/.venv"
    assert any(f"from the environment {where}" in line["text"] for line in store.ok("logs", "rogue")["lines"])
    assert store.ctl("versions", "--verify").status == 0
    # What was pinned is pinned here, too.
    with open(store.store / "rogue/current/main.py", "a") as file:
        file.write("# changed\n")
    assert "was changed after it was installed" in refused(store, "restart", "rogue")


def test_an_environment_that_cannot_be_made(store):
    folder = python_plugin(store, "nowhere\n")
    env = fake_python(
        store, 'mkdir -p .venv/bin; printf "#!/bin/sh\\necho no nowhere; exit 1\\n" >.venv/bin/python; chmod +x .venv/bin/python'
    )
    done = store.ctl("install", folder, env=env)
    err = done.err
    assert done.status == 1 and "the environment was not made" in err and '"no nowhere"' in err
    log = open(re.search(r"all it printed: (\S+)", err)[1]).read()
    assert "pip install" in log and "no nowhere" in log
    assert packs.leftovers(store.store) == [] and not (store.store / "rogue").exists()


def fake_python(site, text):
    bin = site.root / "bin"
    bin.mkdir()
    (bin / "python3").write_text(f"#!/bin/sh\n{text}\n")
    (bin / "python3").chmod(0o755)
    return {"PATH": f"{bin}:{os.environ['PATH']}"}


def test_an_environment_without_its_program(store):
    folder = python_plugin(store, "")
    pip = 'printf "#!/bin/sh\\nrm .venv/bin/python" >.venv/bin/python; chmod +x .venv/bin/python'
    env = fake_python(store, f"mkdir -p .venv/bin; {pip}")
    done = store.ctl("install", folder, env=env)
    assert done.status == 1 and "there is no file" in done.err, done
    assert not (store.store / "rogue").exists()


def test_an_environment_that_takes_too_long(store):
    folder = python_plugin(store, "", timeout="1s")
    env = fake_python(store, f"echo working; sleep 1000 & echo $! >{store.root}/pid; wait")
    done = store.ctl("install", folder, env=env)
    assert done.status == 5 and "took longer than environment.timeout" in done.err and "working" in done.err, done
    child = store.watch(int((store.root / "pid").read_text()))
    assert child.gone(build.seconds(10))
    assert not (store.store / "rogue").exists()


def test_an_environment_is_made_while_the_terminal_shows_it(store):
    folder = python_plugin(store, "")
    env = fake_python(store, "echo Collecting something; sleep 4; exit 1")
    os.environ["PATH"], before = env["PATH"], os.environ["PATH"]
    try:
        done = store.ctl_on_terminal("install", folder)
    finally:
        os.environ["PATH"] = before
    assert done.status == 1 and "Collecting something" in done.out


def test_plugctl_killed_while_it_makes_an_environment(store):
    folder = python_plugin(store, "")
    env = fake_python(store, f"echo $$ >{store.root}/pid.new; mv {store.root}/pid.new {store.root}/pid; exec sleep 1000")
    process = subprocess.Popen(store.ctl_argv("install", folder), env=store.environment(env))
    deadline = time.monotonic() + build.seconds(20)
    while not (store.root / "pid").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    child = store.watch(int((store.root / "pid").read_text()))
    process.kill()
    process.wait()
    assert child.gone(build.seconds(10))
    store.ctl("reread")
    assert store.ok("list")["plugins"] == []
    packs.check_store(store.store)
    store.stop()
    store.start()
    assert packs.leftovers(store.store) == []


def test_requirements_outside_the_folder(store):
    folder = python_plugin(store, "")
    document = json.loads((folder / "plugin.yaml").read_text())
    for path in ("/etc/hosts", "../requirements.txt"):
        (store.root / "requirements.txt").write_text("")
        document["environment"]["python"] = path
        (folder / "plugin.yaml").write_text(json.dumps(document))
        done = store.ctl("install", folder, env={"PATH": os.environ["PATH"]})
        assert done.status == 1 and "outside the plugin's folder" in done.err, done
        assert not (store.store / "rogue").exists()


# ---- libarchive --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["none", "older"])
def test_without_libarchive_only_installing_is_refused(store, kind):
    """It is loaded when it is needed: everything else works on a machine that lacks it."""
    libraries = store.root / "libraries"
    libraries.mkdir()
    library = libraries / "libarchive.so.13"
    library.write_bytes(b"")
    if kind == "older":
        subprocess.run(["cc", "-shared", "-o", library, "-x", "c", "/dev/null"], check=True)
    env = {"LD_LIBRARY_PATH": str(libraries)}
    folder = packs.folder(store.root)
    for source in (folder, packs.archive(folder)):
        done = store.ctl("install", source, env=env)
        assert done.status == 1 and "libarchive13" in done.err, done
        assert ("cannot be loaded" if kind == "none" else "has no archive_") in done.err, done
        packs.check_store(store.store)
        assert packs.leftovers(store.store) == []
    assert store.ctl("list", env=env).status == 0
    assert install(store, folder)["state"] == "ready"
