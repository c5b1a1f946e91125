import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
sys.dont_write_bytecode = True

from plugtest import build  # noqa: E402
from plugtest.site import Site  # noqa: E402

TEST_SECONDS = 90


def pytest_configure(config):
    # Ignored where tests run in the background of a script, and then by everything that they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "load: many at once; the ones to repeat when looking for races")
    config.addinivalue_line("markers", "memory: measures memory, which sanitizers make meaningless")
    missing = [str(path) for path in (build.PLUGD, build.PLUGCTL, build.ACTOR) if not path.exists()]
    if missing:
        raise pytest.UsageError(
            f"not built: {', '.join(missing)}; set PLUG_BUILD_DIR to a build folder, or: "
            "cmake --preset dev && cmake --build --preset dev"
        )
    build.messages()


def pytest_collection_modifyitems(items):
    for item in items:
        if build.SANITIZE and item.get_closest_marker("memory"):
            item.add_marker(pytest.mark.skip(reason="memory is not measured under a sanitizer"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    site = getattr(item, "funcargs", {}).get("site")
    if report.failed and site is not None and report.when == "call":
        report.sections.append(("plugd.log", site.log_text()[-20000:]))
        report.sections.append(("sanitizers", site.sanitizer_reports()))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """A test that hangs fails, with the place where it hung."""

    def on_alarm(*_):
        raise AssertionError(f"the test did not end within {build.seconds(TEST_SECONDS):.0f} s")

    previous = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, build.seconds(TEST_SECONDS))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@pytest.fixture
def site():
    site = Site()
    yield site
    site.close()
