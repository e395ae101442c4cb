"""CPU seconds and memory of process trees, read from /proc; and what this machine is."""

import contextlib
import os
import platform
import re
import subprocess
import threading
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
# Fields of /proc/PID/stat behind the name in brackets, counted from 0 (proc(5)).
PPID, UTIME, STIME, CUTIME, CSTIME = 1, 11, 12, 13, 14


class BenchError(Exception):
    """Something did not run, or an answer was wrong."""


def stat_fields(pid):
    """None when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None


def tree(root):
    """The process and all its descendants."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := stat_fields(entry)):
            children.setdefault(int(fields[PPID]), []).append(int(entry))
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting.extend(children.get(pid, ()))
    return found


def cpu_seconds(root):
    """User and system time of the tree, of children that the root has collected already included."""
    ticks = 0
    for pid in tree(root):
        if fields := stat_fields(pid):
            ticks += int(fields[UTIME]) + int(fields[STIME])
            if pid == root:
                ticks += int(fields[CUTIME]) + int(fields[CSTIME])
    return ticks / TICKS


def memory_mib(pids, file, field):
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, AttributeError):
            text = Path(f"/proc/{pid}/{file}").read_text()
            total += int(re.search(rf"^{field}:\s+(\d+) kB", text, re.M).group(1))
    return total / 1024


def rss_mib(pids):
    """The sum of the processes' resident sets; pages that they share count once for each."""
    return memory_mib(pids, "status", "VmRSS")


def pss_mib(pids):
    """The same with shared pages divided by those who share them. Slower to ask for."""
    return memory_mib(pids, "smaps_rollup", "Pss")


class PeakMemory:
    """The largest rss_mib() of a tree while the block runs, asked 20 times a second."""

    def __init__(self, root):
        self.pids = tree(root) if root else []
        self.peak = 0.0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def watch(self):
        while True:
            self.peak = max(self.peak, rss_mib(self.pids))
            if self.over.wait(0.05):
                return

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def machine_busy_seconds():
    """CPU seconds that all processes of the machine have used."""
    fields = [int(f) for f in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, _steal = fields
    return (user + nice + system + irq + softirq) / TICKS


def first_match(pattern, text, fallback):
    found = re.search(pattern, text, re.M)
    return found.group(1).strip() if found else fallback


def package_version(name):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name], capture_output=True, text=True)
    return done.stdout.split("-")[0] or "unknown"


def describe_machine():
    cpu = first_match(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), platform.machine())
    memory = int(first_match(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(), "0"))
    system = first_match(r'^PRETTY_NAME="(.*)"', Path("/etc/os-release").read_text(), "Linux")
    return (f"{len(os.sched_getaffinity(0))} cores of {cpu}, {memory / 1048576:.0f} GiB, {system}, "
            f"Linux {platform.release()}; PostgreSQL {package_version('postgresql-15')}, "
            f"gRPC C++ {package_version('libgrpc++-dev')}, nghttp2 {package_version('nghttp2-client')}, "
            f"OpenSSL {package_version('libssl3')}; everything on loopback")
