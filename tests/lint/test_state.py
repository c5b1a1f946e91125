"""What plugd holds goes over an upgrade in place, or it is said here why not.

A field that is added to one of these structs and forgotten would be 0 after an upgrade, which no compiler notices.
"""

import re

import pytest
from lint_support import text

MADE = "made anew"  # watchers, links to others, what is derived

# (header, struct) -> (where it is written and read, {field: why it is not there})
CARRIED = {
    ("plugin/instance.h", "instance"): (["plugin/instance_state.c", "plugin/instance_start.c"], {
        "node": MADE, "plugin": MADE, "exit_w": MADE, "calls": "by the router", "in_flight": "by the router",
        "channels": "by channels", "channel_count": "by channels", "channels_overdue": "by channels", "last_vitals": "read again",
        "accused": "by the router",
    }),
    ("plugin/instance.h", "instance_method"): (["plugin/instance_state.c"], {}),
    ("plugin/slot.h", "slot"): (["plugin/slot_state.c"], {"node": MADE, "plugin": MADE}),
    ("plugin/plugin.h", "plugin"): (["plugin/plugin_state.c"], {
        "node": MADE, "host": MADE, "handling": "0 between two events", "incoming": "by the router",
        "queue": "by the router", "held": "by the router", "queued": "by the router", "waiters": "by control", "suspects": "by the router",
        "trial": "by the router", "change": "by control", "was_removed": "false between two searches",
    }),
    ("plugin/rollout.h", "rollout"): (["plugin/plugin_state.c"], {}),
    ("plugin/version.h", "version"): (["plugin/saved.c"], {}),
    ("plugin/broker.h", "broker"): (["plugin/broker.c"], {"ended_fd": "closed by the exec"}),
    ("plugin/instance.h", "instance_hang"): (["plugin/instance_state.c"], {}),
    ("plugin/crash.h", "last_calls"): (["plugin/remembered_state.c"], {}),
    ("core/poison.h", "poison_key"): (["serve/suspects_state.c"], {}),
    ("core/poison.h", "poison_entry"): (["serve/suspects_state.c"], {"node": MADE}),
    ("serve/router.h", "router_died"): (["serve/suspects_state.c"], {}),
    ("plugin/crash.h", "crash"): (["plugin/remembered_state.c"], {"node": MADE}),
    ("plugin/crash.h", "crash_call"): (["plugin/remembered_state.c"], {}),
    ("plugin/stats.h", "stats"): (["plugin/remembered_state.c"], {}),
    ("plugin/stats.h", "stats_method"): (["plugin/remembered_state.c"], {}),
    ("plugin/data_stats.h", "data_stats"): (["plugin/remembered_state.c"], {}),
    ("plugin/events.h", "event"): (["plugin/remembered_state.c"], {"node": MADE}),
    ("ipc/session_private.h", "session"): (["ipc/session_state.c"], {}),
    ("ipc/link_private.h", "link"): (["ipc/link_state.c"], {"ended_fd": "closed by the exec"}),
    ("ipc/doorman_private.h", "doorman"): (["ipc/doorman_state.c", "ipc/doorman.c"], {"count": MADE}),
    ("ipc/doorman.h", "client"): (["ipc/doorman_state.c", "ipc/client_queue.c", "ipc/client.c"], {
        "ids": "by its tickets", "channel_count": "by channels",
    }),
    ("serve/relay.h", "relay"): (["serve/relay_state.c", "serve/relay.c"], {}),
    ("serve/router.h", "router"): (["serve/relay_state.c", "serve/suspects_state.c"], {
        "limits": "of the settings", "held_bytes": MADE, "kept_bytes": MADE,
    }),
    ("serve/channels_private.h", "channel"): (["serve/channels_state.c", "serve/channels.c"], {}),
    ("serve/channels.h", "channels"): (["serve/channels_state.c"], {"limits": "of the settings"}),
    ("serve/control_private.h", "config_ask"): (["serve/control_state.c"], {}),
    ("serve/change.h", "change"): (["serve/change_state.c"], {"control": MADE, "spec": MADE}),
    ("serve/control_private.h", "waiter"): (["serve/control_state.c"], {}),
    ("serve/control_private.h", "log_follower"): (["serve/control_state.c"], {"follower": MADE}),
    ("serve/control_private.h", "event_follower"): (["serve/control_state.c"], {"follower": MADE}),
    ("plugin/host.h", "host"): (["daemon_state.c"], {
        "loop": MADE, "limits": "of the settings", "autostart": "of the settings", "start_rank": "of the settings", "ops": MADE, "ops_user": MADE, "is_child": MADE,
        "is_child_user": MADE, "shutting_down": "then there is no upgrade", "rundir": MADE, "lull": MADE, "oom_kills": "seen again", "ticks": "seen again",
    }),
    ("daemon_private.h", "daemon"): (["daemon_state.c", "daemon.c"], {}),
    ("os/rundir.h", "rundir"): (["daemon_state.c"], {}),
    ("os/cgroup.h", "cgroup"): (["daemon_state.c"], {}),
    ("os/cgroup.h", "cgroup_group"): (["plugin/instance_state.c"], {}),
    ("upgrade/upgrade.h", "upgrade"): (["upgrade/upgrade.c", "upgrade/upgrade_answer.c"], {
        "guardian": MADE, "argv": MADE, "tickets_per_client": "of the settings", "phase": "idle afterwards",
    }),
}


def strip(source):
    return re.sub(r"/\*.*?\*/", "", source, flags=re.S)


def fields(header, name):
    """The names of a struct's members; arrays, pointers, functions and several in a line included."""
    source = strip(text(f"supervisor/{header}"))
    body = re.search(rf"\nstruct {name} \{{\n(.*?)\n\}};", source, re.S)
    assert body, f"struct {name} is not in {header}"
    found = []
    for member in body[1].split(";"):
        function = re.search(r"\(\*(\w+)\)\(", member)
        if function:
            found.append(function[1])
            continue
        for part in member.split(","):
            words = re.findall(r"[A-Za-z_]\w*", re.sub(r"\[[^]]*\]", "", part))
            if words:
                found.append(words[-1])
    return found


@pytest.mark.parametrize("header, name", CARRIED, ids=[f"{name}" for _, name in CARRIED])
def test_every_field_goes_over_an_upgrade(header, name):
    files, not_carried = CARRIED[header, name]
    code = "\n".join(text(f"supervisor/{file}") for file in files)
    members = fields(header, name)
    missing = [
        field for field in members
        if field not in not_carried and not re.search(rf"(?:->|\.){field}\b", code)
    ]
    assert not missing, (
        f"struct {name}: {', '.join(missing)}: append to its message in supervisor/state/state.proto, to {files[0]} in "
        "both directions, and to a test; or say in this table why it need not go over an upgrade"
    )
    gone = set(not_carried) - set(members)
    assert not gone, f"struct {name} has no {', '.join(gone)} any more"


def test_the_check_finds_members():
    assert {"resume_w", "token", "client_token", "collected"} <= set(fields("plugin/instance.h", "instance"))
    assert "on_outcome" in fields("serve/relay.h", "relay")
    assert "save" in fields("upgrade/upgrade.h", "upgrade")
