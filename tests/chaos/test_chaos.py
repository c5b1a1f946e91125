"""Short runs of the chaos suite with fixed seeds; longer ones by `sh tests/chaos/run.sh`."""

import os
import pathlib
import subprocess

import pytest

from driver import operations, schedule

RUN = pathlib.Path(__file__).parent / "run.sh"
SEEDS = [int(word) for word in os.environ.get("PLUG_CHAOS_SEEDS", "1 2 3").split()]
SECONDS = os.environ.get("PLUG_CHAOS_SECONDS", "5")


def test_a_seed_is_a_schedule():
    assert schedule.make(7, 60) == schedule.make(7, 60)
    assert schedule.make(7, 60) != schedule.make(8, 60)
    longer = schedule.make(7, 90)
    assert longer[: len(schedule.make(7, 60))] == schedule.make(7, 60)
    assert {step["kind"] for step in schedule.make(7, 3600)} == set(schedule.STEPS)


def test_every_step_has_an_operation():
    assert set(operations.OPERATIONS) == set(schedule.STEPS)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run(seed, tmp_path):
    done = subprocess.run(
        ["sh", str(RUN), "--seed", str(seed), "--seconds", SECONDS, "--gap", "100", "--out", "histories"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
    print(done.stdout)
    assert done.returncode == 0, done.stdout
