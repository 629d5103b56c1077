"""What is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from ._request import Position

Verdict = Literal["fresh", "stale", "unknown"]
Action = Literal["proceed", "reload", "reapprove", "wait", "abstain"]


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _at(j: Mapping[str, Any] | None) -> Position | None:
    return None if j is None else Position(j["topic"], j["partition"], j["offset"])


@dataclass(frozen=True)
class Used:
    """The version that the workflow has of an item."""

    version: str | None
    seq: int | None
    as_of: datetime | None
    loaded_at: datetime | None
    at: Position | None


@dataclass(frozen=True)
class Current:
    """The version of an item that is in force."""

    version: str | None
    seq: int
    effective_at: datetime | None
    published_at: datetime | None
    at: Position | None


@dataclass(frozen=True)
class Share:
    """A part of an item's staleness."""

    cause: str
    seconds: float
    owner: str


@dataclass(frozen=True)
class Item:
    """The verdict of one item."""

    kind: str
    key: str
    verdict: str
    reasons: tuple[str, ...]
    staleness_s: float | None
    age_s: float | None
    versions_behind: int | None
    used: Used
    current: Current | None
    superseded_at: datetime | None
    causes: tuple[Share, ...]

    @classmethod
    def from_json(cls, j: Mapping[str, Any]) -> Item:
        u, c = j["used"], j.get("current")
        return cls(
            kind=j["kind"],
            key=j["key"],
            verdict=j["verdict"],
            reasons=tuple(j["reasons"]),
            staleness_s=j.get("staleness_s"),
            age_s=j.get("age_s"),
            versions_behind=j.get("versions_behind"),
            used=Used(u.get("version"), u.get("seq"), _time(u.get("as_of")), _time(u.get("loaded_at")), _at(u.get("at"))),
            current=None
            if c is None
            else Current(c.get("version"), c["seq"], _time(c.get("effective_at")), _time(c.get("published_at")), _at(c.get("at"))),
            superseded_at=_time(j.get("superseded_at")),
            causes=tuple(Share(s["cause"], s["seconds"], s["owner"]) for s in j.get("causes", ())),
        )


@dataclass(frozen=True)
class Answer:
    """What a check comes to. Only ``fresh`` is leave to act."""

    workflow: str
    verdict: str
    action: str
    reasons: tuple[str, ...]
    items: tuple[Item, ...]
    staleness_s: float | None
    staleness_upper_s: float | None  # what it could be at most, if a version exists that has not been seen
    age_s: float | None
    versions_behind: int | None
    cause: str | None
    owner: str | None
    applied_through: datetime | None
    complete_through: datetime | None
    engine_lag_s: float | None
    valid_until: datetime | None  # when time alone can end a fresh verdict
    valid_for_s: float | None
    at: datetime | None
    check_id: str  # for the action.executed that follows

    @property
    def fresh(self) -> bool:
        """Whether the context holds. Unknown is never fresh."""
        return self.verdict == "fresh"

    @classmethod
    def from_json(cls, j: Mapping[str, Any]) -> Answer:
        return cls(
            workflow=j["workflow"],
            verdict=j["verdict"],
            action=j["action"],
            reasons=tuple(j["reasons"]),
            items=tuple(Item.from_json(i) for i in j["items"]),
            staleness_s=j.get("staleness_s"),
            staleness_upper_s=j.get("staleness_upper_s"),
            age_s=j.get("age_s"),
            versions_behind=j.get("versions_behind"),
            cause=j.get("cause"),
            owner=j.get("owner"),
            applied_through=_time(j.get("applied_through")),
            complete_through=_time(j.get("complete_through")),
            engine_lag_s=j.get("engine_lag_s"),
            valid_until=_time(j.get("valid_until")),
            valid_for_s=j.get("valid_for_s"),
            at=_time(j.get("at")),
            check_id=j["check_id"],
        )

    def sentence(self) -> str:
        """The answer as a sentence that a person, or a model, can act on."""
        advice = {
            "proceed": "go on",
            "reload": "load the context again before acting",
            "reapprove": "load the context again and ask for approval again: it was given on what is superseded",
            "wait": "ask again in a moment",
            "abstain": "do not act on it",
        }.get(self.action, "do not act on it")
        bad = [f"{i.kind}/{i.key} ({', '.join(i.reasons)})" for i in self.items if i.verdict != "fresh"]
        why = "; ".join(bad) or ", ".join(self.reasons)
        return f"The context of workflow {self.workflow} is {self.verdict}{': ' + why if why else ''}. Advice: {advice}."
