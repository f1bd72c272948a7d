"""Starts a replica from each folder that it reads on stdin, in a process that dies when it opens a network socket.

`python -m tests.faults.serving_start SOURCES`: each line in is JSON, `{"environment": {...}}`; each line out is what
came of it, `{"started": true}` or `{"refused": "<class>", "reason": "..."}` or `{"died": <signal>}`. The replica is the
application's own class, as Ray's worker constructs it; only the imports are shared. The kernel watches the sockets
(seccomp), so code that is not Python's is watched too.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import platform
import select
import signal
import socket
import struct
import sys
from typing import Any

PATIENCE = 60.0  # seconds for a start
SOCKET = {"x86_64": 41, "aarch64": 198}  # number of the system call
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K, BPF_RET|BPF_K
_ALLOW, _KILL = 0x7FFF0000, 0x80000000  # SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS
_NUMBER, _FIRST_ARGUMENT = 0, 16  # offsets in struct seccomp_data
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2  # prctl(2)


def forbid_network() -> None:
    """From now on this process is killed by SIGSYS where it asks for a socket of the network."""
    steps = [
        (_LOAD, 0, 0, _NUMBER),
        (_EQUAL, 0, 4, SOCKET[platform.machine()]),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_EQUAL, 1, 0, socket.AF_INET),
        (_EQUAL, 0, 1, socket.AF_INET6),
        (_RETURN, 0, 0, _KILL),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code)))
    call = ctypes.CDLL(None, use_errno=True).prctl
    for arguments in ((_NO_NEW_PRIVILEGES, 1, 0, 0, 0), (_SECCOMP, _FILTER, ctypes.addressof(program), 0, 0)):
        if call(*(ctypes.c_ulong(each) for each in arguments)):
            raise OSError(ctypes.get_errno(), "prctl")


def _start(environment: dict[str, str]) -> dict[str, Any]:
    os.environ.update(environment)
    forbid_network()
    replica = importlib.import_module("text_generation.replica").Replica
    try:
        replica()
    except Exception as error:
        return {"refused": type(error).__name__, "reason": str(error)}
    return {"started": True}


def _forked(environment: dict[str, str]) -> dict[str, Any]:
    """What came of it, or how the process ended that was to tell."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        os.write(writing, json.dumps(_start(environment)).encode())
        os._exit(0)
    os.close(writing)
    if not select.select([reading], [], [], PATIENCE)[0]:
        os.kill(pid, signal.SIGKILL)
    told = os.read(reading, 65536)
    os.close(reading)
    _, status = os.waitpid(pid, 0)
    return json.loads(told) if told else {"died": os.waitstatus_to_exitcode(status)}


def main() -> None:
    sys.path.insert(0, sys.argv[1])
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in ("replica", "loading", "tokenizer", "engine"):
        importlib.import_module(f"text_generation.{name}")
    importlib.import_module("transformers.models.llama.modeling_llama")
    importlib.import_module("ray.serve.metrics")
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_forked(json.loads(line)["environment"])) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
