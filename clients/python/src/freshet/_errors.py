"""What can go wrong."""

from __future__ import annotations

from ._answer import Answer


class FreshetError(Exception):
    """Something that is no leave to act."""


class Unreachable(FreshetError):
    """Nobody has answered."""


class Problem(FreshetError):
    """The server has answered that the request cannot be answered (RFC 9457)."""

    def __init__(self, status: int, type_: str, title: str, detail: str, pointer: str, retry_after: float) -> None:
        super().__init__(f"{title} ({status})" + (f": {detail}" if detail else "") + (f" ({pointer})" if pointer else ""))
        self.status, self.type, self.title, self.detail, self.pointer, self.retry_after = (
            status, type_, title, detail, pointer, retry_after,
        )  # fmt: skip


class NotFresh(FreshetError):
    """The context does not hold, or it is not known whether it does."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.sentence())
        self.answer = answer
