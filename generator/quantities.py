"""Kubernetes quantities in their canonical text forms, to numbers and back."""

from __future__ import annotations

_UNITS = {"Mi": 1024**2, "Gi": 1024**3, "Ti": 1024**4}
GIB = _UNITS["Gi"]


def cores(text: str) -> float:
    """`2` or `500m` in cores."""
    return int(text[:-1]) / 1000 if text.endswith("m") else float(text)


def in_bytes(text: str) -> int:
    """`8Gi` in bytes."""
    return int(text[:-2]) * _UNITS[text[-2:]]


def gibibytes(size: int) -> str:
    """Bytes rounded up to whole `Gi`, at least one."""
    return f"{max(1, -(-size // GIB))}Gi"


def human(size: int) -> str:
    """Bytes for people, decimal as the Hub shows them: `2.2 GB`."""
    value, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{int(value)} {unit}" if unit == "B" else f"{value:.1f} {unit}"
