"""What happens in a run and when, from its seed alone.

The same seed, length and pace give the same steps to the last argument.  What a machine cannot do (no root, a sanitizer)
is left out when the step's turn comes, so that a schedule does not depend on where it runs.  A step names its target by
a number; the world counts that over what is alive then.
"""

import random

PLUGINS = ("a", "b", "c", "d")
DAY_MS = 24 * 3600 * 1000


def span(pick, least, most):
    """Short ones are likely, long ones happen."""
    return int(least * (most / least) ** pick.random())


def process(pick):
    return {"plugin": pick.choice(PLUGINS), "which": pick.randrange(1000)}


def plugin(pick):
    return {"plugin": pick.choice(PLUGINS)}


def window(pick, least=50, most=1500):
    return {"ms": span(pick, least, most)}


def fault(kind, number=lambda pick: 0):
    return lambda pick: {**plugin(pick), "fault": kind, "number": number(pick)}


# kind: (weight, its arguments).  Weights and order are part of what a seed means.
STEPS = {
    # ends of processes
    "kill": (14, process),
    "term": (3, process),
    "segv": (4, process),
    "stop": (3, lambda pick: {**process(pick), "ms": span(pick, 20, 3000)}),
    "freeze": (1, lambda pick: {**process(pick), "ms": 14000}),
    # what plugins do by themselves
    "fault-segv": (4, fault("segv")),
    "fault-abort": (2, fault("signal", lambda pick: 6)),
    "fault-exit": (3, fault("exit", lambda pick: pick.choice((0, 1, 77)))),
    "fault-unhealthy": (2, fault("unhealthy")),
    "fault-hang": (3, fault("hang", lambda pick: span(pick, 50, 3000))),
    "fault-stray": (4, fault("stray", lambda pick: pick.randint(1, 3))),
    "fault-forks": (2, fault("forks", lambda pick: pick.randint(4, 30))),
    "fault-flood": (3, fault("flood", lambda pick: span(pick, 64, 8192))),
    "fault-cut": (3, fault("cut")),
    "fault-garbage": (3, fault("garbage", lambda pick: pick.randrange(1 << 30))),
    "fault-hoard": (1, fault("hoard", lambda pick: pick.randint(8, 48))),
    "slow-start": (3, lambda pick: {**process(pick), "ms": span(pick, 50, 2000), "status": pick.choice((0, 0, 0, 3, 99))}),
    # the operator
    "reload": (12, lambda pick: {**plugin(pick), "in_place": pick.random() < 0.2, "version": pick.random() < 0.3}),
    "reload-all": (1, lambda pick: {}),
    "restart": (3, plugin),
    "stop-start": (3, lambda pick: {**plugin(pick), **window(pick)}),
    "start": (4, lambda pick: {}),
    "scale": (4, lambda pick: {**plugin(pick), "to": pick.randint(1, 4)}),
    "reread": (3, lambda pick: {"queue_calls": pick.choice((16, 64, 1024)), "channels": pick.choice((0, 2, 64))}),
    "reread-broken": (1, lambda pick: {}),
    "upgrade": (4, lambda pick: {"binary": pick.choice(("same", "same", "garbage"))}),
    # files that change
    "replace": (4, plugin),
    "replace-broken": (3, lambda pick: {**plugin(pick), "how": pick.choice(("text", "short", "mode", "gone"))}),
    # callers and strangers at the door
    "vanish": (6, lambda pick: {"caller": pick.randrange(1000)}),
    "half-open": (3, lambda pick: {"count": pick.randint(1, 40), **window(pick, 50, 3000)}),
    "half-open-session": (3, lambda pick: {**process(pick), **window(pick)}),
    "garbage": (3, lambda pick: {"hello": pick.random() < 0.5, "seed": pick.randrange(1 << 30)}),
    "garbage-session": (3, lambda pick: {**process(pick), "seed": pick.randrange(1 << 30)}),
    # what the machine has not
    "emfile-plugd": (2, lambda pick: {"spare": pick.randint(0, 3), **window(pick, 50, 1000)}),
    "emfile-plugin": (2, lambda pick: {**process(pick), "spare": pick.randint(0, 2), **window(pick, 50, 1000)}),
    "disk-full": (3, window),
    "no-memfd": (3, lambda pick: {"whose": pick.choice((*PLUGINS, "plugd", "callers")), **window(pick)}),
    "no-memory": (4, lambda pick: {"whose": pick.choice((*PLUGINS, "plugd", "callers")), "ppm": span(pick, 100, 20000), **window(pick, 50, 600)}),
    "clock": (3, lambda pick: {"ms": pick.choice((-1, 1)) * span(pick, 100, 400 * DAY_MS)}),
    # plugd itself
    "pause-plugd": (2, lambda pick: window(pick, 20, 1000)),
    "kill-plugd": (1, lambda pick: {}),
    "kill-guardian": (0.5, lambda pick: {}),
}


def make(seed, seconds, gap_ms=200):
    """The steps of a run: dicts with at_ms, kind and arguments, in order."""
    pick = random.Random(f"plugd chaos {seed}")
    kinds = list(STEPS)
    weights = [STEPS[kind][0] for kind in kinds]
    steps, at = [], 0.0
    while True:
        at += pick.expovariate(1 / gap_ms)
        if at >= seconds * 1000:
            return steps
        kind = pick.choices(kinds, weights)[0]
        steps.append({"n": len(steps), "at_ms": int(at), "kind": kind, **STEPS[kind][1](pick)})
