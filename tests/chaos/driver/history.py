"""What was seen, as lines of JSON: one file of the driver's, one of all callers', one of all plugins'."""

import json
import pathlib
import threading
import time

DRIVER, CALLS, EXECUTIONS = "driver.jsonl", "calls.jsonl", "executions.jsonl"


class History:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in (DRIVER, CALLS, EXECUTIONS):
            (self.folder / name).write_text("")
        self.file = open(self.folder / DRIVER, "a", buffering=1)
        self.lock = threading.Lock()

    @property
    def calls(self):
        return self.folder / CALLS

    @property
    def executions(self):
        return self.folder / EXECUTIONS

    def add(self, e, **fields):
        line = json.dumps({"e": e, "t": time.monotonic_ns(), **fields})
        with self.lock:
            self.file.write(line + "\n")


def read(folder):
    """All lines of a history in the order of their time."""
    lines = []
    for name in (DRIVER, CALLS, EXECUTIONS):
        for number, text in enumerate((pathlib.Path(folder) / name).read_text().splitlines(), 1):
            try:
                lines.append(json.loads(text))
            except ValueError as error:
                raise ValueError(f"{name}:{number}: {error}: {text[:200]}") from None
    return sorted(lines, key=lambda line: line["t"])
