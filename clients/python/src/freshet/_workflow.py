"""A workflow that records what it does as events, and asks about itself."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from types import TracebackType
from typing import Any, Protocol

from ._answer import Answer
from ._client import Client
from ._errors import NotFresh
from ._request import Bounds, Check, Position, Ref


class Events(Protocol):
    """Writes events where Freshet reads them, and says where each lies once it is acknowledged."""

    def write(self, topic: str, key: str, headers: Mapping[str, str], data: Mapping[str, Any]) -> Position: ...


@dataclass(frozen=True)
class Topics:
    """Where events go; names as they are in the cluster."""

    control: str = "workflow.control"
    context: str = "workflow.context"
    tool: str = "workflow.tool"
    decision: str = "workflow.decision"


class Workflow:
    """One workflow, from ``task.started`` to ``task.completed`` or ``task.failed``.

    What is loaded, proposed and executed through it becomes events, and a check waits for those that it has written itself, so that it
    sees its own loads::

        with Workflow("wf-7f3", type="refund", events=KafkaEvents("kafka:9092"), client=Client()) as w:
            w.load(Ref("policy", "refund", seq=17))
            w.propose("d1", cls="refund-large")
            answer = w.require(cls="refund-large")
            refund()
            w.execute("d1", answer)
    """

    def __init__(
        self,
        id: str,
        *,
        type: str | None = None,
        events: Events,
        client: Client | None = None,
        source: str = "/freshet/python",
        topics: Topics = Topics(),
        traffic_class: str | None = None,
    ) -> None:
        self.id, self.type = id, type
        self._events, self._client, self._source, self._topics, self._traffic = events, client, source, topics, traffic_class
        self._written: dict[tuple[str, int], Position] = {}

    def event(self, topic: str, type: str, data: Mapping[str, Any], *, at: datetime | None = None) -> Position:
        """Write one event about this workflow."""
        headers = {
            "ce_specversion": "1.0",
            "ce_id": str(uuid.uuid4()),
            "ce_source": self._source,
            "ce_type": type,
            "ce_time": (at or datetime.now(timezone.utc)).isoformat(),
            "ce_subject": self.id,
            "content-type": "application/json",
        }
        if self.type is not None:
            headers["ce_workflowtype"] = self.type
        if self._traffic is not None:
            headers["ce_trafficclass"] = self._traffic
        position = self._events.write(topic, self.id, headers, data)
        self._written[position.topic, position.partition] = position
        return position

    def load(self, *refs: Ref, step: str | None = None) -> Position:
        """The workflow has loaded these."""
        return self.event(self._topics.context, "context.loaded", _given(refs=[r.to_json() for r in refs], step=step))

    def drop(self, *items: Ref) -> Position:
        """These are no longer in use."""
        return self.event(self._topics.context, "context.dropped", {"refs": [{"kind": r.kind, "key": r.key} for r in items]})

    def propose(self, decision: str, *, cls: str | None = None, action: str | None = None, based_on: Sequence[Ref] | None = None) -> Position:
        """A decision is proposed."""
        return self._decided("decision.proposed", decision, cls, action, based_on, None)

    def execute(
        self,
        decision: str,
        answer: Answer | None = None,
        *,
        cls: str | None = None,
        action: str | None = None,
        based_on: Sequence[Ref] | None = None,
    ) -> Position:
        """It has been executed; ``answer`` is that of the check it rests on."""
        return self._decided("action.executed", decision, cls, action, based_on, answer)

    def _decided(
        self, type: str, decision: str, cls: str | None, action: str | None, based_on: Sequence[Ref] | None, answer: Answer | None
    ) -> Position:
        data = _given(decision_id=decision, action=action, check_id=None if answer is None else answer.check_id)
        if cls is not None:
            data["class"] = cls
        if based_on is not None:
            data["based_on"] = [r.to_json() for r in based_on]
        return self.event(self._topics.decision, type, data)

    def check(self, *, cls: str | None = None, bounds: Mapping[str, Bounds] | None = None, timeout: float | None = None) -> Answer:
        """Whether the context holds, all that this object has written included."""
        if self._client is None:
            raise ValueError("this workflow has no client to ask with")
        written = list(self._written.values())
        return self._client.check(Check(self.id, cls=cls, bounds=bounds or {}, at_least=written), timeout=timeout)

    def require(self, *, cls: str | None = None, bounds: Mapping[str, Bounds] | None = None, timeout: float | None = None) -> Answer:
        """Like check, but raises NotFresh unless the context holds."""
        answer = self.check(cls=cls, bounds=bounds, timeout=timeout)
        if not answer.fresh:
            raise NotFresh(answer)
        return answer

    def __enter__(self) -> Workflow:
        self.event(self._topics.control, "task.started", _given(workflow_type=self.type))
        return self

    def __exit__(self, t: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None) -> None:
        if e is None:
            self.event(self._topics.control, "task.completed", {})
        else:
            self.event(self._topics.control, "task.failed", {"reason": f"{type(e).__name__}: {e}"[:200]})


def _given(**all_: Any) -> dict[str, Any]:
    return {k: v for k, v in all_.items() if v is not None}
