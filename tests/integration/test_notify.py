"""What a service manager is told, and by whom."""

import signal
import socket
import struct

from plugtest import build


def test_ready_comes_when_it_can_be_reached(site):
    site.start()
    assert site.ctl("status").status == 0, "READY=1 means that the door is open"


def test_stopping(site):
    site.actor()
    site.start()
    site.ready()
    site.signal(signal.SIGTERM)
    site.wait_said("STOPPING=1")
    assert site.wait_end() == 0


def test_reloading(site):
    site.start()
    site.signal(signal.SIGHUP)
    site.wait_said("RELOADING=1")
    site.wait_said("READY=1")


def test_the_guardian_is_who_says_it(site):
    """The service manager takes the word of its main process only."""
    site.spawn()
    site.notify.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    site.wait_said("READY=1")
    site.signal(signal.SIGHUP)
    site.notify.settimeout(build.seconds(20))
    while True:
        text, ancillary, _, _ = site.notify.recvmsg(4096, 1024)
        if text == b"RELOADING=1":
            break
    pid, _, _ = struct.unpack("iII", ancillary[0][2])
    assert pid == site.process.pid


def test_nothing_is_said_of_a_start_that_failed(site):
    site.configure("nonsense: 1\n")
    site.spawn()
    assert site.process.wait(build.seconds(20)) == 1
    site.notify.setblocking(False)
    try:
        raise AssertionError(site.notify.recv(100))
    except BlockingIOError:
        pass
    site.wait_end()


def test_an_abstract_socket(site):
    address = f"plugtest-{site.root.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + address)
        manager.settimeout(build.seconds(20))
        site.spawn(env={"NOTIFY_SOCKET": "@" + address})
        assert manager.recv(100) == b"READY=1"
        site.stop()


def test_without_a_service_manager(site):
    site.spawn(env={"NOTIFY_SOCKET": "/nowhere/at/all"})
    # It says so to nobody; that it runs is seen by its door.
    while site.ctl("status").status != 0:
        assert site.process.poll() is None
    assert site.stop() == 0
