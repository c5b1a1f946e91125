"""A process is replaced under calls: none is lost, none executed twice, whichever way it took."""

import collections

import pytest

from plugtest import build, channel, wire
from plugtest.caller import Caller

MOVES = 6


def lines(path):
    """number -> the generations that executed it"""
    found = collections.defaultdict(list)
    for line in path.read_text().splitlines():
        generation, number = line.split()
        found[int(number)].append(int(generation))
    return found


def until_channels(site, probe, count):
    while probe.request(status={"name": "actor"})[0].plugin.data_plane.channels != count:
        pass  # the test's own deadline ends this


@pytest.mark.parametrize("verb", ["restart", "reload"])
def test_nothing_lost_nothing_doubled(site, verb):
    site.actor()
    site.start()
    site.ready()
    files = [site.root / f"record{n}" for n in range(2)]
    recorders = [Caller(site, file=file).wait_up() for file in files]
    echo = Caller(site).wait_up()
    with wire.Client(site) as probe:
        for _ in range(MOVES):
            until_channels(site, probe, 3)
            assert site.ctl(verb, "actor", timeout=60).status == 0
        until_channels(site, probe, 3)
    for recorder, file in zip(recorders, files):
        report = recorder.end()
        assert set(report["outcomes"]) == {"PLUG_OK"}, report
        found = lines(file)
        assert sorted(found) == list(range(report["outcomes"]["PLUG_OK"]))
        assert all(len(generations) == 1 for generations in found.values())
        assert len({generations[0] for generations in found.values()}) > MOVES / 2
        assert report["opened"] > MOVES / 2 and report["data"] > 0, report
    report = echo.end()
    assert (report["wrong"], set(report["outcomes"])) == (0, {"PLUG_OK"}), report
    assert "crashed" not in [event["kind"] for event in site.ok("events")["events"]]


def test_a_long_call_is_finished_by_the_old_process(site):
    """While the new one already serves."""
    gate = site.fifo("gate")
    site.actor()
    site.start()
    site.ready()
    with wire.Client(site) as client:
        c = channel.open_channel(client, "actor")
        number = c.start_call("hold", b'{"fifo": "%s"}' % str(gate).encode())
        reload = site.ctl_start("reload", "actor")
        site.ready("actor", generation=2)
        with wire.Client(site) as other:
            new = channel.open_channel(other, "actor")
            assert new.grant.generation == 2
            assert new.call("echo", b"1").payload == b"1"
            assert c.status.word in (channel.LIVE, channel.MOVED)
            with open(gate, "w") as writer:
                writer.write("at last")
            env = c.take()
            assert (env.id, env.reply.outcome) == (number, wire.OK), env
            c.close()
            assert reload.wait(build.seconds(30)) == 0
            reload.communicate()
            new.close()
