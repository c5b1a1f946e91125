"""The tests' own safety nets hold: what they are there to catch fails a test."""

import subprocess

import pytest

from plugtest import build, procs
from plugtest.site import Site


def test_a_sanitizer_report_fails_a_test():
    site = Site()
    (site.reports / "asan.1").write_text("==1==ERROR: AddressSanitizer: heap-use-after-free\n")
    with pytest.raises(AssertionError, match="heap-use-after-free"):
        site.close()


def test_a_thread_that_ended_is_no_report():
    site = Site()
    (site.reports / "asan.1").write_text("==1==Unable to get registers from thread 7.\n")
    site.close()


@pytest.mark.skipif(not build.ASAN, reason="of the address sanitizer's build")
def test_sanitizers_of_plugins_are_heard():
    """A report of a real process arrives where it is looked for."""
    site = Site()
    site.actor("ill")
    site.start()
    site.ready("ill")
    site.ctl("call", "ill", "overflow")
    site.event("crashed", "ill")
    with pytest.raises(AssertionError, match="heap-buffer-overflow"):
        site.close()


def test_a_process_that_is_left_fails_a_test():
    site = Site()
    left = subprocess.Popen(["sleep", "3600"], env={"PLUGD_SOCKET": str(site.socket_path)})
    with pytest.raises(AssertionError, match="are left"):
        site.close()
    assert left.wait(20) == -9


def test_a_plugd_that_fails_fails_a_test():
    site = Site()
    site.start()
    procs.Watched(site.pid).kill()
    with pytest.raises(AssertionError, match="ended with 137"):
        site.close()


def test_an_event_that_never_comes_fails_a_test(site):
    site.start()
    with pytest.raises(AssertionError, match="no event ready of nobody"):
        site.event("ready", "nobody", timeout=0.2)
