"""Runs a command and ends all that came of it as soon as stdin closes: when whoever started this is gone, however.

    python -I guard.py COMMAND...

Standard library only; a script and no part of the package. Its exit status is the command's.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

_PROCESSES = Path("/proc")
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h: orphans below become our children, whatever session they are in


def main() -> None:
    """The parent holds the other end of our stdin."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)  # noqa: S603  a list, no shell
    threading.Thread(target=_end_when_closed, daemon=True).start()
    code = child.wait()
    _end_all()
    os._exit(code if code >= 0 else 128 - code)


def _end_when_closed() -> None:
    while os.read(0, 4096):
        pass
    _end_all()
    os._exit(128 + signal.SIGKILL)


def _end_all() -> None:
    """Kills descendants until there are none: what they start while we look is found by the next look."""
    if not _PROCESSES.is_dir():
        os.killpg(0, signal.SIGKILL)  # all that can be done: our own group, and ourselves
    while found := _descendants():
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        _reap()


def _reap() -> None:
    """Takes leave of the dead, so that they are no descendants any more; waits for one at least."""
    try:
        os.waitpid(-1, 0)
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _descendants() -> list[int]:
    """Processes below this one; zombies of others are their parents' affair."""
    parents = dict(filter(None, map(_parent, _PROCESSES.glob("[0-9]*"))))
    found, fresh = [], [os.getpid()]
    while fresh:
        fresh = [pid for pid, parent in parents.items() if parent in fresh]
        found += fresh
    return found


def _parent(folder: Path) -> tuple[int, int] | None:
    try:
        # The name in brackets may hold anything, brackets too.
        return int(folder.name), int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None


main()
