"""What can be asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any


def instant(at: datetime) -> str:
    """An instant as RFC 3339; one without a zone is UTC."""
    if at.tzinfo is None:
        at = at.replace(tzinfo=timezone.utc)
    return at.isoformat()


@dataclass(frozen=True)
class Ref:
    """An item and the version that was seen of it."""

    kind: str
    key: str
    version: str | None = None
    seq: int | None = None
    as_of: datetime | None = None
    digest: str | None = None

    def to_json(self) -> dict[str, Any]:
        all_ = {"kind": self.kind, "key": self.key, "version": self.version, "seq": self.seq, "digest": self.digest}
        if self.as_of is not None:
            all_["as_of"] = instant(self.as_of)
        return {k: v for k, v in all_.items() if v is not None}


@dataclass(frozen=True)
class Bounds:
    """Bounds for a kind. They tighten those of the contract and never loosen them. Times are seconds."""

    max_staleness: float | None = None
    max_versions_behind: int | None = None
    max_age: float | None = None

    def to_json(self) -> dict[str, Any]:
        all_ = {
            "max_staleness_s": self.max_staleness,
            "max_versions_behind": self.max_versions_behind,
            "max_age_s": self.max_age,
        }
        return {k: v for k, v in all_.items() if v is not None}


@dataclass(frozen=True)
class Position:
    """Where a record lies: the acknowledgement of a produce."""

    topic: str
    partition: int
    offset: int

    def to_json(self) -> dict[str, Any]:
        return {"topic": self.topic, "partition": self.partition, "offset": self.offset}


@dataclass(frozen=True)
class Check:
    """One question. Only the workflow is required; times are seconds."""

    workflow: str
    cls: str | None = None  # decision class
    items: Sequence[Ref] | None = None  # judged instead of what the workflow has loaded; empty, but not None: nothing
    bounds: Mapping[str, Bounds] = field(default_factory=dict)  # by kind
    at_least: Sequence[Position] = ()  # records that must have been applied: one's own writes
    max_engine_lag: float | None = None
    wait: float | None = None  # how long the server may wait for at_least
    at: datetime | None = None  # judged at this earlier instant instead of now

    def to_json(self, time_left: float) -> dict[str, Any]:
        wait = self.wait
        if wait is None and self.at_least:
            wait = round(min(30.0, 0.8 * time_left), 3)
        all_: dict[str, Any] = {
            "workflow": self.workflow,
            "class": self.cls,
            "items": None if self.items is None else [r.to_json() for r in self.items],
            "bounds": {k: b.to_json() for k, b in self.bounds.items()} or None,
            "at_least": [p.to_json() for p in self.at_least] or None,
            "max_engine_lag_s": self.max_engine_lag,
            "wait_s": wait,
            "at": None if self.at is None else instant(self.at),
        }
        return {k: v for k, v in all_.items() if v is not None}
