"""Commands that plugins add to plugctl."""

import json
import os
import shutil
import subprocess

import pytest

from plugtest import build, site as sites

SHOW = {
    "help": "shows what it gets\nAnd says so at length.",
    "method": "command",
    "aliases": ["sh"],
    "stdin": True,
    "options": {
        "int": {"type": "int", "min": 1, "max": 9, "default": 3, "letter": "i", "help": "a small number"},
        "float": {"type": "float"},
        "text": {"letter": "t"},
        "kind": {"type": "enum", "values": ["red", "blue"], "default": "red", "help": "which"},
        "flag": {"type": "bool", "letter": "f"},
        "wait": {"type": "duration", "default": "30s"},
        "size": {"type": "bytes"},
        "path": {"type": "path"},
        "tags": {"type": "list", "default": ["a", "b"]},
        "status": {"type": "int", "min": 0, "max": 255},
        "until": {"type": "path"},
    },
    "args": [{"name": "first", "required": True, "type": "string", "help": "the first word"},
             {"name": "rest", "many": True, "type": "path"}],
}
NEEDS = {"help": "needs an option", "method": "command",
         "options": {"kind": {"type": "enum", "values": ["red", "blue"], "required": True}}}


@pytest.fixture
def shown(site):
    site.actor(commands={"show-all": SHOW, "needs": NEEDS})
    site.start()
    site.ready()
    return site


def test_a_command_with_all_that_it_may_have(shown):
    done = shown.ctl("show-all", "one", "-i", "5", "--float=1.5", "-ft", "words of text", "--kind", "blue",
                     "--wait", "1m30s", "--size", "2KiB", "--path", "some/file", "--tags", "x,y", "--tags", "z",
                     "more", "/abs", input="in\0put")
    here = os.getcwd()
    assert done.status == 0, done
    assert done.out == (
        "command=show-all given=11\n"
        "int=5 float=1.5 text=words of text kind=blue flag=1\n"
        f"wait=90000000000 size=2048 path={here}/some/file\n"
        "tag=x\ntag=y\ntag=z\n"
        f"rest={here}/more\nrest=/abs\n"
        f"directory={here} columns=0 input=6:in\0put\n")
    assert done.err == "complains\n"


def test_defaults_and_the_alias(shown):
    done = shown.ctl("sh", "one", input="")
    assert "command=show-all given=00\n" in done.out
    assert "int=3 float=-1 text=- kind=red flag=0\nwait=30000000000 size=0 path=-\ntag=a\ntag=b\ndirectory=" in done.out


def test_exit_status(shown):
    assert shown.ctl("show-all", "x", "--status", "7", input="").status == 7
    assert shown.ctl("show-all", "x", "--status", "255", input="").status == 255
    document = shown.ctl("show-all", "x", "--status", "3", "--json", input="hi")
    assert document.status == 3
    assert document.json["exit_status"] == 3 and document.json["stderr"] == "complains\n"
    assert (document.json["command"], document.json["plugin"]) == ("show-all", "actor")
    assert document.json["stdout"].endswith("input=2:hi\n") and document.err == ""


WRONG = {
    "int": (["x", "--int", "77"], "--int: expected a whole number from 1 to 9; found \"77\""),
    "no number": (["x", "--int", "many"], "--int: expected a whole number"),
    "enum": (["x", "--kind", "bleu"], 'did you mean "blue"?'),
    "duration": (["x", "--wait", "soon"], "--wait: expected a duration"),
    "option": (["x", "--inf", "1"], "did you mean --int?"),
    "argument": ([], "FIRST is missing"),
    "value": (["x", "--int"], "--int needs a value: --int INT"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_told_before_anything_runs(shown, what):
    words, said = WRONG[what]
    done = shown.ctl("show-all", *words, input="")
    assert done.status == 2 and done.out == ""
    assert said in done.err and "plugctl show-all --help" in done.err
    document = shown.ctl("--json", "show-all", *words, input="").json
    assert document["error"]["code"] == "USAGE"


def test_a_required_option(shown):
    done = shown.ctl("needs")
    assert done.status == 2 and "--kind is missing: one of red, blue (required)" in done.err
    assert shown.ctl("needs", "extra", "--kind=red").status == 2
    assert "kind=red" in shown.ctl("needs", "--kind=red").out


def test_output_arrives_as_it_is_written(shown):
    gate = shown.fifo("gate")
    process = subprocess.Popen(shown.ctl_argv("show-all", "x", "--until", gate), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=shown.environment())
    assert process.stdout.readline() == "waits\n"
    assert process.poll() is None
    sites.fifo_send(gate)
    out, err = process.communicate(timeout=build.seconds(30))
    assert (process.returncode, out, err) == (0, "", "complains\n")


def test_a_long_standard_input(shown):
    text = "x" * (1 << 20)
    assert f"input={1 << 20}:" in shown.ctl("sh", "a", input=text).out
    done = shown.ctl("sh", "a", input="x" * (17 << 20))
    assert done.status == 1 and "at most 16777216" in done.err


def test_a_plugin_without_libplug(site):
    """The messages are all that it takes; and what it sends that is none is printed or refused, never followed."""
    site.script("snake", """
def on_call(r, env):
    said = pb.CommandCall.FromString(env.call.payload)
    values = {value.name: list(value.values) for value in said.values}
    piece = lambda kind, data: r.send(id=env.id, reply=pb.Reply(
        partial=True, content_type=f"application/vnd.plug.{kind}", payload=data))
    piece("stdout", f"{said.command} {values} {said.input!r}\\n".encode())
    piece("stderr", b"hm\\n")
    piece("unheard-of", b"printed\\n")
    r.send(id=env.id, reply=pb.Reply(content_type="application/vnd.plug.exit", payload=values["end"][0].encode()))

r = Rogue()
r.methods = ["bite~"]
r.start().serve(on_call)
""", commands={"bite": {"help": "bites", "stdin": True, "options": {"end": {"default": "4"}}}})
    site.start()
    site.ready("snake")
    done = site.ctl("bite", input="in")
    assert done.status == 4 and done.err == "hm\n"
    assert done.out == "bite {'end': ['4']} b'in'\nprinted\n"
    for wrong in ("256", "-1", "many", ""):
        done = site.ctl("bite", f"--end={wrong}", input="")
        assert done.status == 0 and done.out.splitlines()[2:] == ([wrong] if wrong else []), done


def test_help(shown):
    out = shown.ctl("show-all", "--help").out
    assert out == shown.ctl("help", "show-all").out == shown.ctl("sh", "-h").out
    assert "usage: plugctl [global options] show-all [options] FIRST [REST…]" in out
    assert "And says so at length." in out and "A command of the plugin actor; also sh." in out
    assert "-i, --int INT" in out and "a small number (3)" in out and "which: one of red, blue (red)" in out
    assert "FIRST: the first word (required)" in out
    listed = shown.ctl("help").out
    assert listed == shown.ctl("--help").out
    assert "commands of plugins:\n  actor:\n    show-all   shows what it gets\n    needs      needs an option\n" in listed


def test_the_list(shown):
    done = shown.ok("commands")["commands"]
    assert [one["name"] for one in done] == ["show-all", "needs"]
    assert done[0]["plugin"] == "actor" and done[0]["method"] == "command" and done[0]["stdin"]
    assert done[0]["options"][0] == {"name": "int", "type": "int", "help": "a small number", "letter": "i",
                                     "required": False, "many": False, "default": "3", "values": []}
    assert shown.ctl("commands", "--names").out == "show-all\nsh\nneeds\n"
    assert shown.ctl("commands", "--options", "needs").out == "--kind\n"
    assert "shows what it gets" in shown.ctl("commands", "actor").out
    assert shown.ctl("commands", "nobody").status == 4


def test_a_near_miss_and_without_plugd(shown):
    done = shown.ctl("show-al")
    assert done.status == 2 and done.err.startswith(
        'plugctl: no verb "show-al", and no plugin has such a command; did you mean show-all?')
    shown.stop()
    done = shown.ctl("show-all", "x")
    assert done.status == 2 and "cannot be reached" in done.err
    assert "commands of plugins" not in shown.ctl("help").out


def test_the_runtime_directory_behind_the_command(shown):
    argv = [str(build.PLUGCTL), "needs", "--kind", "red", "--runtime-dir", str(shown.runtime)]
    done = subprocess.run(argv, capture_output=True, text=True, env=shown.environment(), timeout=build.seconds(30))
    assert done.returncode == 0 and "kind=red" in done.stdout


def test_it_comes_and_goes_with_its_plugin(site):
    site.actor()
    site.actor("other", commands={"needs": NEEDS})
    site.start()
    site.ready("other")
    assert site.ctl("needs", "--kind", "red").status == 0
    assert site.ok("stop", "other")
    done = site.ctl("needs", "--kind", "red")
    assert done.status == 1 and "stopped" in done.err
    (site.plugins / "other" / "plugin.yaml").unlink()
    assert site.ctl("reread").status == 0
    site.event("removed", "other")
    done = site.ctl("needs", "--kind", "red")
    assert done.status == 2 and 'no verb "needs"' in done.err
    site.actor("third", commands={"needs": NEEDS})
    assert site.ctl("reread").status == 0
    site.ready("third")
    assert site.ctl("needs", "--kind", "red").status == 0


def test_a_command_of_two_plugins(site):
    site.actor("first", commands={"needs": NEEDS})
    site.actor("second", commands={"other": {**NEEDS, "aliases": ["needs"]}})
    site.start()
    site.ready("first")
    bad = site.ok("list")["bad"]
    assert [one["path"] for one in bad] == [str(site.plugins / "second" / "plugin.yaml")]
    text = bad[0]["errors"][0]
    assert '"needs" of second is a command of first' in text and str(site.plugins / "first") in text
    assert "plugin.yaml:" in text and text.endswith("; it is not registered")
    assert site.run("--check").status == 1


def test_one_that_has_a_command_keeps_it(site):
    """Also where the other one, found later, comes first in the order of the folders."""
    site.actor("owner", commands={"needs": NEEDS})
    site.start()
    site.ready("owner")
    site.actor("another", commands={"needs": NEEDS})
    assert site.ctl("reread").status == 0
    bad = site.ok("list")["bad"]
    assert [one["path"] for one in bad] == [str(site.plugins / "another" / "plugin.yaml")]
    assert '"needs" of another is a command of owner' in bad[0]["errors"][0]
    assert [one["plugin"] for one in site.ok("commands")["commands"]] == ["owner"]
    (site.plugins / "owner" / "plugin.yaml").unlink()
    assert site.ctl("reread").status == 0
    site.ready("another")
    assert [one["plugin"] for one in site.ok("commands")["commands"]] == ["another"]


def test_validate_finds_two_with_one_command(site):
    site.actor("first", commands={"needs": NEEDS})
    path = site.actor("second", commands={"other": {**NEEDS, "aliases": ["needs"]}})
    done = site.ctl("--json", "validate", site.plugins)
    assert done.status == 1
    wrong = [one for one in done.json["plugins"] if not one["valid"]]
    assert [one["path"] for one in wrong] == [str(path)]
    assert '"needs" of second is a command of first' in wrong[0]["errors"][0]


def test_a_command_that_is_plugctls_own(site):
    path = site.actor("bold", commands={"list": NEEDS})
    site.start()
    text = site.ok("list")["bad"][0]["errors"][0]
    assert text.startswith(f"{path}:") and "plugctl's own" in text and "bold" in text
    done = site.ctl("validate", path)
    assert done.status == 1 and "plugctl's own" in done.err


def test_a_reload_may_not_take_the_command_of_another(site):
    site.actor("first", commands={"needs": NEEDS})
    site.actor("second")
    site.start()
    site.ready("first")
    site.ready("second")
    site.actor("second", commands={"needs": NEEDS})
    done = site.ctl("reload", "second")
    assert done.status == 1 and '"needs" of second is a command of first already' in done.err
    assert site.status("second")["generation"] == 1


def test_a_command_whose_method_is_not_offered(site):
    site.actor(commands={"do": {"help": "does it"}})
    site.start()
    event = site.event("refused", "actor")
    assert '"do"' in event["detail"] and "does not offer" in event["detail"]


def test_a_method_that_cannot_write(site):
    site.actor(commands={"quiet": {"help": "is quiet", "method": "quiet-command"}})
    site.start()
    site.ready()
    done = site.ctl("quiet")
    assert done.status == 1 and "PLUG_METHOD_STREAM" in done.err


def test_an_answer_that_is_no_exit_status(site):
    """Any method can be a command; what it answers is printed."""
    site.actor(commands={"plain": {"help": "echoes", "method": "echo"}})
    site.start()
    site.ready()
    done = site.ctl("plain")
    assert done.status == 0 and "plain" in done.out


def test_a_call_that_is_no_command(shown):
    done = shown.ctl("call", "actor", "command", "{}")
    assert done.status == 1 and "plugctl COMMAND" in done.err


def test_commands_after_an_upgrade_in_place(shown):
    before = shown.ok("commands")
    assert shown.ctl("upgrade", "--daemon").status == 0
    assert json.dumps(shown.ok("commands")) == json.dumps(before)
    assert shown.ctl("needs", "--kind", "red").status == 0


def test_completion(shown):
    """bash asks for commands and their options when it needs them."""
    script = build.BUILD / "share" / "bash-completion" / "completions" / "plugctl"

    def complete(*words):
        line = " ".join(f"'{word}'" for word in words)
        text = (f"source {script}; COMP_WORDS=(plugctl --runtime-dir {shown.runtime} {line}); "
                f"COMP_CWORD=$(({len(words)} + 2)); _plugctl; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
        env = {**shown.environment(), "PATH": f"{build.PLUGCTL.parent}:{os.environ['PATH']}"}
        done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, env=env,
                              timeout=build.seconds(30))
        return done.stdout.split()

    assert complete("sho") == ["show-all"]
    assert complete("sh") == ["shutdown", "show-all", "sh"]
    assert complete("needs", "--k") == ["--kind"]


def test_the_example(site):
    shutil.copytree(build.BUILD / "plugins" / "examples" / "word-count", site.plugins / "word-count")
    text = site.root / "text"
    text.write_text("the quick brown\nfox\n")
    site.start()
    site.ready("word-count")
    assert site.ctl("word-count", text).out == f"2 4 20 {text}\n"
    assert site.ctl("wcount", "-o", "words", "--least", "4", input="the quick brown fox").out == "2\n"
    done = site.ctl("word-count", text, text, "/nowhere")
    assert done.status == 1 and "/nowhere: No such file" in done.err
    assert done.out.endswith("4 8 40 together\n")
