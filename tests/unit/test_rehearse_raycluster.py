"""What a replica says when it does not start. Ray itself: tests/e2e."""

from __future__ import annotations

import pytest

from generator.rehearse.raycluster import reason_in

TRACEBACK = """\
The deployment failed to start 3 times in a row. See controller logs for details. Error:
ray::ServeReplica:x:TextGeneration.initialize_and_get_metadata() (pid=1, ip=127.0.0.2)
  File "/python/ray/serve/_private/replica.py", line 1928, in initialize
    raise RuntimeError(traceback.format_exc()) from None
RuntimeError: Traceback (most recent call last):
  File "/code/common/manifest.py", line 61, in _listed
    raise _refused(folder, "it is missing")
"""


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (TRACEBACK + "common.errors.StartRefused: it is missing", "common.errors.StartRefused: it is missing"),
        (TRACEBACK + "ValueError: two lines,\n  both of them matter", "ValueError: two lines, both of them matter"),
        ("Deploying app failed", "Deploying app failed"),
        ("", "it gave no reason"),
        ("x" * 5000, "x" * 1000),
    ],
    ids=["refused", "two lines", "plain", "nothing", "long"],
)
def test_reason_in(message: str, expected: str) -> None:
    assert reason_in(message) == expected
