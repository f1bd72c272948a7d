"""hadolint, with what it says of a Dockerfile."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(sys.executable).parent / "hadolint"


def faults(text: str) -> list[str]:
    """Rules and lines that are not as they should be; warnings and advice count."""
    command = [str(PROGRAM), "--no-fail", "--format", "json", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return [f"{found['line']}: {found['code']} {found['message']}" for found in json.loads(done.stdout)]
