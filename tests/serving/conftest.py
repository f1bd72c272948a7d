"""The applications' packages by the names that they have in the zip, at its top."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "serving"))
