#!/usr/bin/env python3
"""What plugctl's verbs cost as processes, as rows for docs/performance.md, Verbs.

    tools/bench/verbs.py build/release

Starts a plugd of its own on the plugins of the build tree. Verbs that wait for plugd, a plugin or a disk are judged by
their processor time alone, which that of the programs they start is part of.
"""
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

RUNS = 20
VERBS = """list|status|status echo|call echo echo x=1|commands|logs echo|events|crashes|poison|info gpt2|stats|stats echo|
models|size|top --count 1 --interval 1ms|config get gpt2 --origin|config history gpt2|graph|graph --dot|
new feature made --dir {dir}/{run}|validate {plugins}/interfaces/echo|versions|version|help|reread|debug echo --no-stacks|
doctor|config set gpt2 max_batch_size={run}|test echo|compare echo gpt2|scale echo 1|stop echo|start echo|restart echo|
reload echo|start nosuch"""


def measured(ctl, words, env):
    start = time.perf_counter()
    pid = os.posix_spawn(ctl, [ctl, *words], env, file_actions=[
        (os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_WRONLY, 0) for fd in (1, 2)])
    _, _, used = os.wait4(pid, 0)
    return used.ru_utime + used.ru_stime, time.perf_counter() - start


def row(ctl, verb, env, folder, plugins):
    times = []
    for run in range(RUNS + 1):
        os.makedirs(f"{folder}/{run + 1}", exist_ok=True)
        if verb in ("start echo", "stop echo"):
            subprocess.run([ctl, "stop" if verb[:4] == "star" else "start", "echo"], env=env, capture_output=True, check=True)
        times.append(measured(ctl, verb.format(dir=folder, run=run + 1, plugins=plugins).split(), env))
    used, wall = ([1000 * one for one in column] for column in zip(*times[1:]))
    name = verb.replace("{dir}/{run}", "DIR").replace("{plugins}/", "").replace("{run}", "N")
    print(f"| `{name}` | {statistics.median(used):.1f} | {max(used):.1f} | {min(wall):.1f} |", flush=True)


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    folder = tempfile.mkdtemp(prefix="verbs")
    env = {**os.environ, "PLUGD_SOCKET": f"{folder}/run/plugd.sock"}
    plugins, ctl = build / "plugins", str(build / "bin/plugctl")
    plugd = subprocess.Popen([build / "bin/plugd", "--plugin-dir", plugins, "--runtime-dir", f"{folder}/run"],
                             stderr=subprocess.DEVNULL)
    try:
        while subprocess.run([ctl, "start", "echo", "gpt2"], env=env, capture_output=True).returncode == 3:
            time.sleep(0.05)
        print("| plugctl | processor time, ms | at most | shortest run, ms |\n|---|---|---|---|")
        for verb in VERBS.replace("\n", "").split("|"):
            row(ctl, verb, env, folder, plugins)
    finally:
        plugd.terminate()
        plugd.wait()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
