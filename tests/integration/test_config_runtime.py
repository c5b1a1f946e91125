"""Configuration while plugd runs: config get, set, unset, history, diff, rollback."""

import json
import os
import signal
import subprocess
import time
from random import Random

import pytest

from plugtest import build

SCHEMA = {
    "model": {"type": "string", "default": "tiny"},
    "batch": {"type": "int", "min": 1, "max": 64, "default": 8, "live": True},
    "level": {"type": "string", "default": "low", "live": True},
    "device": {"type": "enum", "values": ["auto", "cpu", "cuda"], "default": "auto"},
    "token": {"type": "string", "secret": True, "live": True},
}

# It does not understand Config, and fails where it is to be huge.
PICKY = """
rogue = Rogue()
rogue.hello()
config = {one.key: one.value for one in rogue.expect("welcome").welcome.config}
if config["model"] == "huge":
    rogue.send(failed=pb.Failed(code=1, message="no memory for a huge model"))
    sys.exit(1)
rogue.send(ready=pb.Ready())
rogue.serve()
"""


def up(site, *args, config=SCHEMA, **keys):
    site.actor("actor", *args, config=config, **keys)
    site.start()
    for generation in range(1, keys.get("run", {}).get("instances", 1) + 1):
        site.ready(generation=generation)


def values(site, *keys):
    """What the plugin itself sees."""
    return site.call("actor", "config", {"keys": list(keys)})


def get(site, key):
    return site.ok("config", "get", "actor", key)


def set_(site, *words):
    return site.ok("config", "set", "actor", *words)


def processes(site):
    return {one["pid"] for one in site.status("actor")["instance_list"]}

def wait_for_change(site):
    """Until a change of its configuration is under way."""
    deadline = time.monotonic() + build.seconds(30)
    while not site.status("actor")["config_change"]:
        assert time.monotonic() < deadline, "no change is under way"


def kept(site):
    return (site.runtime / "state" / "config.actor").read_text()


# ---- get ----


def test_get_says_which_layer_a_value_comes_from(site):
    site.actor(config=SCHEMA, run={"autostart": False})
    site.configure("plugins:\n  actor:\n    config:\n      model: big\n")
    site.start(env={"PLUGD_ACTOR_DEVICE": "cpu"})
    site.ok("start", "--set", "level=high", "actor")
    set_(site, "batch=9")
    items = {one["key"]: one for one in site.ok("config", "get", "actor")["config"]}
    assert (items["model"]["value"], items["model"]["layer"]) == ("big", "file")
    assert items["model"]["origin"].endswith("plugd.yaml:4:14")
    assert (items["device"]["layer"], items["device"]["origin"]) == ("environment", "environment PLUGD_ACTOR_DEVICE")
    assert (items["level"]["layer"], items["level"]["origin"]) == ("start", "--set")
    assert (items["batch"]["value"], items["batch"]["layer"]) == ("9", "runtime")
    assert items["batch"]["origin"].startswith("config set, change 1 of 20")
    assert (items["token"]["value"], items["token"]["layer"], items["token"]["origin"]) == (None, "unset", "not set")
    assert site.ctl("config", "get", "actor", "batch").out == "9\n"
    line = site.ctl("config", "get", "actor", "batch", "--origin").out.splitlines()[1]
    assert "9" in line and "change 1" in line


def test_get_shows_durations_and_sizes_as_they_are_written(site):
    site.actor(config={"pause": {"type": "duration", "default": "1500ms"}, "room": {"type": "bytes", "default": "64MiB"},
                       "key": {"type": "duration", "default": "5s", "secret": True}})
    site.start()
    site.ready()
    rows = dict(line.split()[:2] for line in site.ctl("config", "get", "actor").out.splitlines())
    assert (rows["pause"], rows["room"], rows["key"]) == ("1500ms", "64MiB", "***")
    items = {one["key"]: one["value"] for one in site.ok("config", "get", "actor")["config"]}
    assert (items["pause"], items["room"]) == ("1500000000", "67108864")


def test_get_of_what_is_not_there(site):
    up(site)
    done = site.ctl("config", "get", "actor", "bach")
    assert done.status == 1 and 'did you mean "batch"' in done.err
    assert site.ctl("config", "get", "actor", "token").status == 1
    done = site.ctl("config", "get", "acto")
    assert done.status == 4 and "actor" in done.err
    done = site.ctl("config", "gte", "actor")
    assert done.status == 2 and 'did you mean "get"' in done.err


# ---- set ----


def test_a_live_key_reaches_the_process_that_runs(site):
    up(site)
    before = processes(site)
    done = set_(site, "batch=32", "level=high")
    assert done["number"] == 1 and "live, in 1 process" in done["detail"]
    assert values(site, "batch", "level") == {"batch": 32, "level": "high"}
    assert processes(site) == before
    site.log_line("actor", "on_config: batch 32, changed 1")


def test_a_key_that_is_not_live_comes_by_a_reload(site):
    up(site)
    before = processes(site)
    done = set_(site, "model=big", "batch=2")
    assert "reload" in done["detail"]
    assert values(site, "model", "batch") == {"model": "big", "batch": 2}
    assert not processes(site) & before
    assert get(site, "model")["layer"] == "runtime"


def test_one_rejected_value_rejects_them_all(site):
    up(site)
    for words, said in (
        (["level=high", "batch=1000"], "64"), (["level=high", "bach=3"], 'did you mean "batch"'),
        (["level=high", "device=gpu"], "cuda"), (["batch=2", "batch=3"], "twice"),
    ):
        done = site.ctl("config", "set", "actor", *words)
        assert done.status == 1 and said in done.err, done
        assert "unset" not in done.err, "there is nothing to take back"
    assert values(site, "batch", "level") == {"batch": 8, "level": "low"}
    assert site.ok("config", "history", "actor")["history"] == []
    assert not (site.runtime / "state" / "config.actor").exists()


def test_what_is_stopped_has_it_from_its_next_start(site):
    up(site)
    site.ok("stop", "actor")
    assert "next start" in set_(site, "batch=3")["detail"]
    site.ok("start", "actor")
    assert values(site, "batch") == {"batch": 3}


def test_the_same_value_again_is_no_change(site):
    up(site)
    set_(site, "batch=3")
    assert set_(site, "batch=3")["number"] == 0
# above a layer that says the same it is a change, and nobody is bothered with it
    before = processes(site)
    assert set_(site, "model=tiny")["number"] == 2
    assert processes(site) == before
    assert get(site, "model")["layer"] == "runtime"


def test_a_crash_starts_with_the_values_that_are_set(site):
    up(site)
    set_(site, "batch=5")
    site.ctl("call", "actor", "die", json.dumps({"signal": signal.SIGKILL}))
    site.ready(generation=2)
    assert values(site, "batch") == {"batch": 5}


def test_a_reload_and_a_reread_keep_them(site):
    up(site)
    set_(site, "batch=5", "model=big")
    site.ok("reload", "actor")
    assert values(site, "batch", "model") == {"batch": 5, "model": "big"}
    site.ok("reread")
    site.ok("restart", "actor")
    assert values(site, "batch", "model") == {"batch": 5, "model": "big"}


def test_unset_gives_it_back_to_the_layers_below(site):
    site.actor(config=SCHEMA)
    site.configure({"plugins": {"actor": {"config": {"batch": 16}}}})
    site.start()
    site.ready()
    set_(site, "batch=3", "level=high")
    site.ok("config", "unset", "actor", "batch")
    assert values(site, "batch", "level") == {"batch": 16, "level": "high"}
    assert get(site, "batch")["layer"] == "file"
    set_(site, "batch=4")
    site.ok("config", "unset", "actor", "--all")
    assert values(site, "batch", "level") == {"batch": 16, "level": "low"}


def test_set_and_unset_of_a_list(site):
    up(site, config={"words": {"type": "list", "default": ["a"], "live": True}})
    set_(site, 'words=[x, "y, z"]')
    assert get(site, "words")["value"] == "x, y, z"


def test_handlers_go_on_while_values_change(site):
    """Sixteen of them read what is replaced; none fails, and none of the values is one that was never set."""
    up(site)
    bench = site.ctl_start("--json", "bench", "actor", "config", "-p", '{"keys": ["batch", "level"]}', "-c", "8",
                           "--duration", "2s")
    number = 0
    while bench.poll() is None:
        number = number % 60 + 1
        set_(site, f"batch={number}", f"level=l{number}")
    out, err = bench.communicate()
    assert bench.returncode == 0, err
    assert values(site, "batch", "level") == {"batch": number, "level": f"l{number}"}


# ---- with several processes ----


def test_a_veto_of_one_is_a_veto_of_all(site):
    up(site, "--config-refuse", "actor.2/batch=13", run={"instances": 3})
    before = processes(site)
    done = site.ctl("config", "set", "actor", "batch=13")
    assert done.status == 1
    assert "actor.2 says: actor.2/batch=13 does not fit here" in done.err and "stay in force" in done.err
    assert {values(site, "batch")["batch"] for _ in range(12)} == {8}
    assert processes(site) == before
    assert site.ok("config", "history", "actor")["history"] == []
    # Those that had accepted were told the old value: on_config ran a second time.
    site.log_line("actor", "on_config: batch 8, changed 1")
    assert "in 3 processes" in set_(site, "batch=12")["detail"]
    assert {values(site, "batch")["batch"] for _ in range(12)} == {12}


def test_a_process_that_dies_of_the_new_value_refuses_it(site):
    up(site, "--config-die", "actor.1/batch=13", run={"instances": 2})
    done = site.ctl("config", "set", "actor", "batch=13")
    assert done.status == 1 and "died before it had taken" in done.err
    site.ready(generation=3)
    assert {values(site, "batch")["batch"] for _ in range(8)} == {8}


def test_a_process_that_never_answers_refuses_it(site):
    up(site, "--config-hold", "actor.1/batch=13", run={"instances": 2})
    done = site.ctl("config", "set", "actor", "batch=13")
    assert done.status in (1, 5) and "did not answer" in done.err
    site.ready(generation=3)  # it holds a value that nobody can take back
    assert {values(site, "batch")["batch"] for _ in range(8)} == {8}


def test_a_spare_has_it_too(site):
    up(site, run={"standby": 1})
    site.ready(generation=2)
    set_(site, "batch=21")
    site.ctl("call", "actor", "die", json.dumps({"signal": signal.SIGKILL}))
    site.ready(generation=3)
    assert {values(site, "batch")["batch"] for _ in range(4)} == {21}


# It answers what was not asked, what it was asked, and that twice; no word of it is text.
LIAR = """
rogue = Rogue()
rogue.hello(config=True)
rogue.expect("welcome")
rogue.send(ready=pb.Ready())
rogue.send(config_result=pb.ConfigResult(number=7))
number = rogue.expect("config").config.number
rogue.send(config_result=pb.ConfigResult(number=number + 1))
for _ in range(2):
    rogue.send(config_result=pb.ConfigResult(number=number, outcome=4000000000, message="no\\n" + "x" * 5000))
while True:
    config = rogue.expect("config").config
    rogue.send(config_result=pb.ConfigResult(number=config.number, outcome=config.back))
"""


def test_a_plugin_that_answers_anything(site):
    site.script("liar", LIAR, config={"size": {"type": "int", "default": 1, "live": True}})
    site.start()
    site.ready("liar")
    done = site.ctl("config", "set", "liar", "size=2")
    assert done.status == 1 and "liar says: no" in done.err and "stay in force" in done.err
    assert site.ok("config", "get", "liar", "size")["value"] == "1"
    assert site.word("liar") == "ready"
    assert "live" in site.ok("config", "set", "liar", "size=3")["detail"]


# ---- a reload that fails ----


def test_a_value_that_the_plugin_cannot_start_with_is_not_in_force(site):
    site.script("picky", PICKY, config={"model": {"type": "string", "default": "tiny"}})
    site.start()
    site.ready("picky")
    before = site.status("picky")["pid"]
    done = site.ctl("config", "set", "picky", "model=huge")
    assert done.status == 1 and "no memory for a huge model" in done.err and "stay in force" in done.err
    status = site.status("picky")
    assert (status["state"], status["pid"]) == ("ready", before)
    assert site.ok("config", "get", "picky", "model")["value"] == "tiny"
    assert site.ok("config", "history", "picky")["history"] == []
    assert "reload" in site.ok("config", "set", "picky", "model=small")["detail"]


def test_a_plugin_that_takes_no_messages_is_reloaded(site):
    site.script("picky", PICKY, config={"model": {"type": "string", "default": "tiny", "live": True}})
    site.start()
    site.ready("picky")
    assert "reload" in site.ok("config", "set", "picky", "model=small")["detail"]
    site.ready("picky", generation=2)


# It becomes ready in any case, and dies of its first call where its model is bad.
LATE = """
def on_call(rogue, env):
    if config["model"] == "bad":
        os.kill(os.getpid(), signal.SIGKILL)
    rogue.reply(env.id)

rogue = Rogue()
rogue.hello()
config = {one.key: one.value for one in rogue.expect("welcome").welcome.config}
rogue.send(ready=pb.Ready())
rogue.serve(on_call)
"""


def test_a_value_that_kills_soon_after_is_taken_back(site):
    """The reload was told as done, and so was the change: what is kept follows what is in force."""
    site.script("late", LATE, config={"model": {"type": "string", "default": "tiny"}})
    site.start()
    site.ready("late")
    site.ok("config", "set", "late", "model=good")
    site.ok("config", "set", "late", "model=bad")
    assert site.ok("config", "get", "late", "model")["value"] == "bad"
    site.ctl("call", "late", "echo")
    site.event("config", "late", "change 3: the values from before are in force again")
    site.ready("late", generation=4)
    assert site.ok("config", "get", "late", "model")["value"] == "good"
    last = site.ok("config", "history", "late")["history"][-1]
    assert last["what"].startswith("taken back") and last["differences"][0]["after"] == "good"
    site.stop()
    site.start()
    site.ready("late")
    assert site.ok("config", "get", "late", "model")["value"] == "good"


# ---- one after the other ----


def test_changes_and_reloads_wait_for_each_other(site):
    up(site)
    words = [["config", "set", "actor", f"batch={number}", f"model=m{number}"] for number in range(1, 5)]
    words.insert(2, ["reload", "actor"])
    words.append(["config", "set", "actor", "level=high"])
    started = [site.ctl_start(*one) for one in words]
    for one, command in zip(started, words):
        out, err = one.communicate(timeout=build.seconds(60))
        assert one.returncode == 0, (command, err)
    got = values(site, "batch", "model", "level")
    assert got["model"] == f"m{got['batch']}" and got["level"] == "high"
    assert [one["number"] for one in site.ok("config", "history", "actor")["history"]] == [1, 2, 3, 4, 5]
    assert get(site, "batch")["value"] == str(got["batch"])


def test_a_stop_in_the_middle_of_a_change(site):
    """Whoever is asked is told to end: nobody refuses, and the values are there at the next start."""
    up(site, "--config-hold", "batch=13")
    setting = site.ctl_start("config", "set", "actor", "batch=13")
    wait_for_change(site)
    site.ok("stop", "actor")
    out, err = setting.communicate(timeout=build.seconds(30))
    assert setting.returncode == 0, err
    site.ok("start", "actor")
    assert values(site, "batch") == {"batch": 13}


def test_who_waits_may_leave(site):
    """A change that was begun goes on; one that waits for its turn does not."""
    gate = site.fifo("gate")
    site.actor("actor", "--start-wait", str(gate), config=SCHEMA)
    site.start()
    site.log_line("actor", "on_start waits")
    first = site.ctl_start("config", "set", "actor", "batch=7")
    wait_for_change(site)
    second = site.ctl_start("config", "set", "actor", "level=high")
    for one in (second, first):
        one.kill()
        one.communicate()
    with open(gate, "w"):
        pass
    site.event("config", "actor", "change 1 .batch.: applied live")
    assert values(site, "batch") == {"batch": 7}
    assert set_(site, "batch=8")["number"] in (2, 3)  # the second may have come in before it was killed


# ---- history, diff, rollback ----


def test_history_and_rollback(site):
    up(site)
    for word in ("batch=1", "batch=2", "level=high", "batch=3"):
        set_(site, word)
    history = site.ok("config", "history", "actor")["history"]
    assert [one["number"] for one in history] == [1, 2, 3, 4]
    assert history[3]["differences"] == [{"key": "batch", "before": "2", "after": "3", "secret": False}]
    assert history[0]["uid"] == os.geteuid() and history[0]["what"] == "set"
    site.ok("config", "rollback", "actor")
    assert values(site, "batch", "level") == {"batch": 2, "level": "high"}
    differences = site.ok("config", "diff", "actor", "1")["differences"]
    assert {one["key"]: (one["before"], one["after"]) for one in differences} == {
        "batch": ("2", "1"), "level": ("high", None)}
    site.ok("config", "rollback", "actor", "1")
    assert values(site, "batch", "level") == {"batch": 1, "level": "low"}
    site.ok("config", "rollback", "actor", "4")
    assert values(site, "batch", "level") == {"batch": 3, "level": "high"}
    site.ok("config", "rollback", "actor", "0")
    assert values(site, "batch", "level") == {"batch": 8, "level": "low"}
    assert site.ok("config", "history", "actor")["history"][-1]["what"] == "rollback to 0"
    done = site.ctl("config", "rollback", "actor", "99")
    assert done.status == 1 and "no change 99" in done.err
    assert "batch" in site.ctl("config", "history", "actor").out


def test_diff_against_the_layers_below(site):
    up(site)
    assert site.ok("config", "diff", "actor")["differences"] == []
    set_(site, "batch=3", "token=abcdef")
    differences = {one["key"]: one for one in site.ok("config", "diff", "actor")["differences"]}
    assert (differences["batch"]["before"], differences["batch"]["after"]) == ("8", "3")
    assert (differences["token"]["before"], differences["token"]["after"]) == (None, "***")


def test_only_the_last_changes_are_kept(site):
    up(site)
    for number in range(1, 56):
        set_(site, f"batch={number}")
    history = site.ok("config", "history", "actor")["history"]
    assert [one["number"] for one in history] == list(range(6, 56))
    done = site.ctl("config", "rollback", "actor", "3")
    assert done.status == 1 and "oldest that can be gone back to is 5" in done.err
    site.ok("config", "rollback", "actor", "5")
    assert values(site, "batch") == {"batch": 5}


# ---- secrets ----


def test_a_secret_is_never_shown(site, tmp_path):
    secrets = ["s3cr3t-one", "s3cr3t-two"]
    up(site)
    (tmp_path / "key").write_text(secrets[0] + "\n")
    site.ok("config", "set", "actor", "--file", f"token={tmp_path / 'key'}")
    assert values(site, "token") == {"token": secrets[0]}
    site.ok("config", "set", "actor", "--file", "token=-", input=secrets[1] + "\n")
    assert values(site, "token") == {"token": secrets[1]}
    for words in (["config", "get", "actor"], ["config", "get", "actor", "token"], ["config", "history", "actor"],
                  ["config", "diff", "actor"], ["config", "diff", "actor", "1"], ["status", "actor"],
                  ["info", "actor"], ["events"], ["logs", "actor"]):
        for flags in ([], ["--json"]):
            done = site.ctl(*flags, *words)
            assert done.status == 0
            assert not [one for one in secrets if one in done.out + done.err], words
    done = site.ctl("config", "set", "actor", "--file", f"token={tmp_path / 'key'}", "batch=1000")
    assert done.status == 1 and secrets[0] not in done.err
    site.ok("config", "rollback", "actor")
    assert values(site, "token") == {"token": secrets[0]}
    assert (site.runtime / "state" / "config.actor").stat().st_mode & 0o777 == 0o600
    assert not [one for one in secrets if one in site.log_text()]


# ---- what outlives plugd ----


def test_values_outlive_plugd(site):
    up(site)
    set_(site, "batch=5", "model=b\u00fccher \"quoted\"")
    assert site.stop() == 0
    site.start()
    site.ready()
    assert values(site, "batch", "model") == {"batch": 5, "model": "b\u00fccher \"quoted\""}
    assert get(site, "batch")["origin"].startswith("config set, change 1")
    set_(site, "batch=6")
    assert [one["number"] for one in site.ok("config", "history", "actor")["history"]] == [1, 2]


def test_an_upgrade_in_place_keeps_values(site):
    up(site)
    before = processes(site)
    set_(site, "batch=5")
    site.ok("upgrade", "--daemon")
    assert get(site, "batch")["layer"] == "runtime"
    assert processes(site) == before
    set_(site, "batch=6")
    assert values(site, "batch") == {"batch": 6}
    site.ctl("call", "actor", "die", json.dumps({"signal": signal.SIGKILL}))
    site.ready(generation=2)
    assert values(site, "batch") == {"batch": 6}


def test_an_upgrade_in_place_in_the_middle_of_a_change(site):
    gate = site.fifo("gate")
    site.actor("actor", "--start-wait", str(gate), config=SCHEMA)
    site.start()
    site.log_line("actor", "on_start waits")
    setting = site.ctl_start("--json", "config", "set", "actor", "batch=7")
    wait_for_change(site)
    site.ok("upgrade", "--daemon")
    with open(gate, "w"):
        pass
    out, err = setting.communicate(timeout=build.seconds(30))
    assert setting.returncode == 0, err
    assert json.loads(out)["number"] == 1
    assert values(site, "batch") == {"batch": 7}


def test_a_kill_in_the_middle_of_a_change_leaves_the_whole(site):
    """Whenever plugd is killed, each key has a value that was set, and both keys are of one change."""
    random = Random(7)
    config = {"one": {"type": "int", "default": 0, "live": True}, "two": {"type": "int", "default": 0, "live": True}}
    up(site, config=config)
    answered = 0
    for round_ in range(8):
        number = answered
        setting = None
        pid = site.pid
        until = time.monotonic() + random.uniform(0.005, 0.12)
        while setting is None or time.monotonic() < until:
            number += 1
            setting = site.ctl_start("config", "set", "actor", f"one={number}", f"two={number}")
            try:
                setting.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                break
            assert setting.returncode == 0, setting.communicate()
            answered = number
        os.kill(pid, signal.SIGKILL)
        site.process.wait(build.seconds(30))
        out, err = setting.communicate(timeout=build.seconds(30))
        if setting.returncode == 0:
            answered = number
        site._forget_process()
        site.start()
        site.ready()
        got = values(site, "one", "two")
        assert got["one"] == got["two"], f"round {round_}: {got}"
        assert answered <= got["one"] <= number, f"round {round_}: {got}, answered {answered}, asked {number}"
        answered = got["one"]
        history = site.ok("config", "history", "actor")["history"]
        assert not history or history[-1]["differences"][0]["after"] == str(answered)


def test_what_cannot_be_kept_is_told(site):
    """And not in force: what is in force and what is kept are the same."""
    up(site)
    (site.runtime / "state" / ".config.actor.tmp").mkdir()  # where the file would be written first
    done = site.ctl("config", "set", "actor", "batch=9")
    assert done.status == 1 and "cannot be kept" in done.err and "stay in force" in done.err
    site.log_line("actor", "on_config: batch 8, changed 1")
    assert values(site, "batch") == {"batch": 8}
    before = processes(site)
    done = site.ctl("config", "set", "actor", "model=big")
    assert done.status == 1 and "cannot be kept" in done.err
    assert values(site, "model") == {"model": "tiny"} and processes(site) == before
    (site.runtime / "state" / ".config.actor.tmp").rmdir()
    assert set_(site, "batch=9")["number"] == 1
    assert values(site, "batch") == {"batch": 9}


def test_a_manifest_that_refuses_what_was_set_can_be_mended(site):
    up(site)
    set_(site, "batch=50", "level=high")
    site.stop()
    site.actor(config={**SCHEMA, "batch": {"type": "int", "min": 1, "max": 10, "default": 8, "live": True}})
    site.start()
    text = "\n".join(error for bad in site.ok("list")["bad"] for error in bad["errors"])
    assert "config set, change 1" in text and "plugctl config unset actor batch" in text
    assert site.run("--check").status == 1
    site.ok("config", "unset", "actor", "batch")
    site.ready()
    assert values(site, "batch", "level") == {"batch": 8, "level": "high"}


def test_a_damaged_file_is_told_and_harms_no_other(site):
    site.actor("other")
    up(site)
    set_(site, "batch=50")
    site.stop()
    (site.runtime / "state" / "config.actor").write_text(kept(site)[:-30])
    site.start()
    site.ready("other")
    text = "\n".join(error for bad in site.ok("list")["bad"] for error in bad["errors"])
    assert "config.actor:" in text
