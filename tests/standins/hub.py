"""The Hub of the rehearsal with users, and with faults to play.

with HubStandIn() as hub:
    commit = hub.add("owner/name", {"config.json": b"{}", "model.safetensors": Path("weights")})
    HfApi(endpoint=hub.url).model_info("owner/name", files_metadata=True)
"""

from __future__ import annotations

from collections.abc import Callable

from generator.rehearse import hub
from generator.rehearse.hub import LFS_SIZE, LFS_SUFFIXES, Blob, Repository, blob
from tests.standins import loopback
from tests.standins.loopback import Asked, Reply

__all__ = ["LFS_SIZE", "LFS_SUFFIXES", "Blob", "HubStandIn", "Repository", "blob"]


class HubStandIn(hub.Hub):
    """`asked` holds every request; `intercept` may answer one itself. Those in `tokens` may see what is not public."""

    reply = Reply

    def __init__(self) -> None:
        self.tokens: set[str] = set()
        self.asked: list[Asked] = []
        self.intercept: Callable[[Asked], Reply | None] = lambda asked: None
        super().__init__()

    def paths(self, server: str = "hub") -> list[str]:
        """`METHOD /path` of every request, in order."""
        return [f"{asked.method} {asked.path}" for asked in self.asked if asked.server == server]

    def right(self, asked: Asked) -> Reply:
        """The answer of a Hub and a CDN that work, whatever `intercept` says."""
        reply = super().answer(asked)
        assert isinstance(reply, Reply)
        return reply

    def answer(self, asked: Asked) -> Reply:
        return self.intercept(asked) or self.right(asked)

    def served(self, name: str) -> loopback.Loopback:
        return loopback.Loopback(name, self.answer, self.asked)

    def may_see(self, asked: Asked, repository: Repository) -> bool:
        return not repository.private or asked.token in self.tokens

    def may_read(self, asked: Asked, repository: Repository) -> bool:
        return not repository.gated or asked.token in self.tokens
