"""Shapes of credentials, which must never stand in a catalogue (each provider's documentation of its tokens)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from generator.errors import Diagnostic
from generator.yamlio import Document

_SHAPES = re.compile(
    r"(?<![A-Za-z0-9])("
    r"hf_[A-Za-z0-9]{20,}|api_org_[A-Za-z0-9]{20,}"  # Hugging Face
    r"|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,}"  # GitHub
    r"|gl(?:pat|dt|rt)-[A-Za-z0-9_-]{20,}"  # GitLab
    r"|A(?:KIA|SIA)[A-Z0-9]{16}"  # AWS
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,}|https://hooks\.slack\.com/services/[A-Za-z0-9/]+"  # Slack
    r"|sk-(?=[A-Za-z_-]*[0-9])(?=[a-z0-9_-]*[A-Z])[A-Za-z0-9_-]{32,}"  # OpenAI, Anthropic; no words with hyphens
    r"|[rs]k_(?:live|test)_[A-Za-z0-9]{20,}"  # Stripe
    r"|AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,}"  # Google
    r"|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,}"  # package registries
    r"|dop_v1_[a-f0-9]{32,}|dckr_pat_[A-Za-z0-9_-]{20,}|hvs\.[A-Za-z0-9_-]{20,}"  # DigitalOcean, Docker, Vault
    r"|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|shpat_[a-f0-9]{32}|lin_api_[A-Za-z0-9]{32,}"
    r"|AGE-SECRET-KEY-1[A-Z0-9]{30,}|-----BEGIN [A-Z ]*PRIVATE KEY-----"  # keys
    r"|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+"  # JSON Web Tokens
    r"|https?://[^/\s:@]+:[^/\s:@]+@"  # a password inside an address
    r")"
)
_SHOWN = 6


def find(document: Document) -> Iterator[Diagnostic]:
    """A fault for each text that looks like a credential; the message shows its first characters only."""
    for match in _SHAPES.finditer(document.text):
        start = match.start()
        yield Diagnostic(
            f"looks like a credential (`{_cut(match)}`)",
            document.file,
            document.text.count("\n", 0, start) + 1,
            start - document.text.rfind("\n", 0, start),
            hint="put it into a Secret of the cluster and name that (tokenSecret); revoke it: it was written down",
        )


def redacted(text: str) -> str:
    """`text` where what looks like a credential shows its first characters only."""
    return _SHAPES.sub(_cut, text)


def _cut(match: re.Match[str]) -> str:
    return f"{match.group()[:_SHOWN]}…"
