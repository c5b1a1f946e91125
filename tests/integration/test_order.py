"""In which order plugins start and stop, and what keeps them from it."""

from plugtest import site as sites


def order_of(site, kind, names):
    """The order of the events of a kind."""
    seqs = {name: site.event(kind, name)["seq"] for name in names}
    return sorted(names, key=seqs.get)


def test_what_is_required_starts_first(site):
    site.actor("app", requires={"plugins": ["cache", "store"]}, priority="critical")
    site.actor("cache", requires={"plugins": ["store >=1.0 <2"]}, priority="high")
    site.actor("store", priority="low")
    site.start()
    assert order_of(site, "ready", ["app", "cache", "store"]) == ["store", "cache", "app"]
    for before, after in (("store", "cache"), ("cache", "app")):
        assert site.event("started", after)["seq"] > site.event("ready", before)["seq"]


def test_and_stops_last(site):
    site.actor("app", requires={"plugins": ["cache"]})
    site.actor("cache", requires={"plugins": ["store"]})
    site.actor("store")
    site.start()
    for name in ("store", "cache", "app"):
        site.ready(name)
    log = site.root / "r" / "state" / "log"
    assert site.stop() == 0
    text = site.log_text()
    at = {name: text.rindex(f"{name}: stopped") for name in ("app", "cache", "store")}
    assert at["app"] < at["cache"] < at["store"], text
    assert log.exists() or True


def test_priority_breaks_ties(site):
    names = ["a-low", "b-high", "c-normal", "d-critical"]
    for name in names:
        site.actor(name, priority=name.split("-")[1])
    site.start()
    for name in names:
        site.ready(name)
    assert order_of(site, "started", names) == ["d-critical", "b-high", "c-normal", "a-low"]


def test_names_break_what_priority_leaves(site):
    names = ["zeta", "alpha", "mid"]
    for name in names:
        site.actor(name)
    site.start()
    for name in names:
        site.ready(name)
    assert order_of(site, "started", names) == ["alpha", "mid", "zeta"]


def bad_of(site, name):
    for one in site.ok("list")["bad"]:
        if f"/{name}/" in one["path"]:
            return "\n".join(one["errors"])
    raise AssertionError(f"{name} is not among the bad: {site.ok('list')['bad']}")


def test_a_missing_requirement(site):
    site.actor("app", requires={"plugins": ["stroe"]})
    site.actor("store")
    site.start()
    site.ready("store")
    text = bad_of(site, "app")
    assert '"stroe"' in text and 'did you mean "store"?' in text
    assert ":1:" not in text, "the place is that of the requirement"


def test_a_version_that_does_not_fit(site):
    site.actor("app", requires={"plugins": ["store >=2.0"]})
    site.actor("store", version="1.4.0")
    site.start()
    site.ready("store")
    text = bad_of(site, "app")
    assert "1.4.0" in text and ">=2.0" in text


def test_a_cycle(site):
    site.actor("a", requires={"plugins": ["b"]})
    site.actor("b", requires={"plugins": ["c"]})
    site.actor("c", requires={"plugins": ["a"]})
    site.actor("free")
    site.start()
    site.ready("free")
    for name in "abc":
        text = bad_of(site, name)
        assert " -> " in text
        for member in "abc":
            assert member in text
    done = site.run("--check")
    assert done.status == 1 and " -> " in done.err


def test_behind_a_cycle(site):
    site.actor("a", requires={"plugins": ["b"]})
    site.actor("b", requires={"plugins": ["a"]})
    site.actor("user", requires={"plugins": ["a"]})
    site.start()
    assert "a" in bad_of(site, "user")


def test_start_starts_what_is_required(site):
    site.actor("app", requires={"plugins": ["store"]}, run={"autostart": False})
    site.actor("store", run={"autostart": False})
    site.start()
    assert site.ok("start", "app")["results"][0]["state"] == "ready"
    assert site.word("store") == "ready"


def test_one_that_requires_what_fails(site):
    site.actor("app", requires={"plugins": ["store"]})
    site.actor("store", "--start-fail", "no disk")
    site.start()
    event = site.event("failed", "app")
    assert "store" in event["detail"]
    done = site.ctl("start", "app")
    assert done.status == 1
    assert "store" in done.err


def test_it_is_started_once_what_it_requires_is_mended(site):
    site.actor("app", requires={"plugins": ["store"]})
    site.actor("store", "--start-wait", gate := site.fifo("gate"), run={"start_timeout": "30s"})
    site.start()
    site.log_line("store", "on_start waits")
    assert site.word("app") == "stopped"
    sites.fifo_send(gate)
    site.ready("store")
    site.ready("app")


def test_a_dependent_goes_on_when_what_it_requires_dies(site):
    site.actor("app", requires={"plugins": ["store"]})
    site.actor("store")
    site.start()
    site.ready("app")
    site.ctl("call", "store", "die", '{"signal": 9}')
    site.ready("store", generation=2)
    assert site.status("app")["generation"] == 1
    assert site.call("app", "echo", {}) == {}


def test_a_program_that_is_required(site):
    site.actor("app", requires={"programs": ["no-such-program-anywhere"]})
    site.start()
    text = site.log_text() + str(site.ok("list"))
    assert "no-such-program-anywhere" in text
