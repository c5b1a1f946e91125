"""plugd.yaml: what starts, in which order, and what is not run at all."""

from plugtest import build
from plugtest.site import fifo_send


def test_types_start_in_their_order(site):
    """Those of a type are ready, or have failed, before those of the next one start."""
    gate = site.fifo("gate")
    site.actor("probe", "--contract", "feature", "--start-wait", str(gate), type="feature")
    site.actor("broken", "--contract", "feature", "--start-fail", "no such device", type="feature")
    site.actor("llm", priority="critical")
    site.configure("load_order: [feature]\n")
    site.start()
    site.log_line("probe", "on_start waits")
    site.event("failed", "broken", "no such device")
    assert site.word("llm") == "stopped"
    assert "probe" in site.status("llm")["next"]
    fifo_send(gate)
    probe = site.ready("probe")
    assert probe["seq"] < site.event("started", "llm")["seq"], "interfaces are not listed: they come last"
    site.ready("llm")


def test_what_is_required_starts_first_all_the_same(site):
    site.actor("chat", requires={"plugins": ["llm"]})
    site.actor("llm", "--contract", "feature", type="feature")
    site.configure("load_order: [interface]\n")
    site.start()
    site.ready("llm")
    site.ready("chat")


def test_nothing_starts_by_itself(site):
    site.actor("one")
    site.actor("two", run={"autostart": True})
    site.actor("three")
    site.configure("autostart: false\nplugins: { three: { run: { autostart: true } } }\n")
    site.start()
    site.ready("two")
    site.ready("three")
    assert site.word("one") == "stopped"
    assert not site.status("one")["autostart"]
    site.ok("reread")
    assert site.word("one") == "stopped"
    site.ok("start", "one")
    assert site.word("one") == "ready"


def test_how_long_a_change_has_to_rest(site):
    """Whatever it says, a change is noticed."""
    site.actor(config={"size": {"type": "int", "default": 1}})
    site.configure("watch: true\nwatch_delay: 50ms\n")
    site.start()
    site.ready()
    site.actor(config={"size": {"type": "int", "default": 2}})
    site.event("reloaded", "actor", timeout=build.seconds(30))
