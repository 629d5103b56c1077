"""Workflows that record what they do as events, and ask about themselves: one for each way of waiting."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from types import TracebackType
from typing import Any, Protocol, Union

from ._answer import Answer
from ._client import AsyncClient, Client
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


SOURCE = "/freshet/python"
_Event = tuple[str, str, dict[str, Any]]  # topic, type, data


class Recording:
    """What both kinds of workflow are: who they are, where their events go, and what they have written."""

    def __init__(self, id: str, type: str | None, events: Events, source: str, topics: Topics, traffic_class: str | None) -> None:
        self.id, self.type = id, type
        self._events, self._source, self._topics, self._traffic = events, source, topics, traffic_class
        self._lock = threading.Lock()
        self._written: dict[tuple[str, int], Position] = {}

    @property
    def written(self) -> list[Position]:
        """The acknowledgements that a check has to wait for, so that it sees all that this workflow has written."""
        with self._lock:
            return list(self._written.values())

    def _write(self, topic: str, type: str, data: Mapping[str, Any], at: datetime | None) -> Position:
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
        with self._lock:
            last = self._written.get((position.topic, position.partition))
            if last is None or last.offset < position.offset:
                self._written[position.topic, position.partition] = position
        return position

    def _started(self) -> _Event:
        return self._topics.control, "task.started", _given(workflow_type=self.type)

    def _ended(self, e: BaseException | None) -> _Event:
        if e is None:
            return self._topics.control, "task.completed", {}
        return self._topics.control, "task.failed", {"reason": f"{type(e).__name__}: {e}"[:200]}

    def _loaded(self, refs: Sequence[Ref], step: str | None) -> _Event:
        return self._topics.context, "context.loaded", _given(refs=[r.to_json() for r in refs], step=step)

    def _dropped(self, items: Sequence[Ref]) -> _Event:
        return self._topics.context, "context.dropped", {"refs": [{"kind": r.kind, "key": r.key} for r in items]}

    def _decided(
        self, type: str, decision: str, cls: str | None, action: str | None, based_on: Sequence[Ref] | None, answer: Answer | None
    ) -> _Event:
        data = _given(decision_id=decision, action=action, check_id=None if answer is None else answer.check_id)
        if cls is not None:
            data["class"] = cls
        if based_on is not None:
            data["based_on"] = [r.to_json() for r in based_on]
        return self._topics.decision, type, data


class Workflow(Recording):
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
        source: str = SOURCE,
        topics: Topics = Topics(),
        traffic_class: str | None = None,
    ) -> None:
        super().__init__(id, type, events, source, topics, traffic_class)
        self._client = client

    def event(self, topic: str, type: str, data: Mapping[str, Any], *, at: datetime | None = None) -> Position:
        """Write one event about this workflow."""
        return self._write(topic, type, data, at)

    def load(self, *refs: Ref, step: str | None = None) -> Position:
        """The workflow has loaded these."""
        return self.event(*self._loaded(refs, step))

    def drop(self, *items: Ref) -> Position:
        """These are no longer in use."""
        return self.event(*self._dropped(items))

    def propose(self, decision: str, *, cls: str | None = None, action: str | None = None, based_on: Sequence[Ref] | None = None) -> Position:
        """A decision is proposed."""
        return self.event(*self._decided("decision.proposed", decision, cls, action, based_on, None))

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
        return self.event(*self._decided("action.executed", decision, cls, action, based_on, answer))

    def check(self, *, cls: str | None = None, bounds: Mapping[str, Bounds] | None = None, timeout: float | None = None) -> Answer:
        """Whether the context holds, all that this object has written included."""
        if self._client is None:
            raise ValueError("this workflow has no client to ask with")
        return self._client.check(question(self, cls, bounds), timeout=timeout)

    def require(self, *, cls: str | None = None, bounds: Mapping[str, Bounds] | None = None, timeout: float | None = None) -> Answer:
        """Like check, but raises NotFresh unless the context holds."""
        answer = self.check(cls=cls, bounds=bounds, timeout=timeout)
        if not answer.fresh:
            raise NotFresh(answer)
        return answer

    def __enter__(self) -> Workflow:
        self.event(*self._started())
        return self

    def __exit__(self, t: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None) -> None:
        self.event(*self._ended(e))


class AsyncWorkflow(Recording):
    """The same for coroutines: ``async with AsyncWorkflow(…, client=AsyncClient()) as w`` and ``await w.load(…)``.

    Events are written in threads, so that waiting for their acknowledgements does not hold up the loop.
    """

    def __init__(
        self,
        id: str,
        *,
        type: str | None = None,
        events: Events,
        client: AsyncClient | None = None,
        source: str = SOURCE,
        topics: Topics = Topics(),
        traffic_class: str | None = None,
    ) -> None:
        super().__init__(id, type, events, source, topics, traffic_class)
        self._client = client

    async def event(self, topic: str, type: str, data: Mapping[str, Any], *, at: datetime | None = None) -> Position:
        """Write one event about this workflow."""
        return await asyncio.to_thread(self._write, topic, type, data, at or datetime.now(timezone.utc))

    async def load(self, *refs: Ref, step: str | None = None) -> Position:
        """The workflow has loaded these."""
        return await self.event(*self._loaded(refs, step))

    async def drop(self, *items: Ref) -> Position:
        """These are no longer in use."""
        return await self.event(*self._dropped(items))

    async def propose(
        self, decision: str, *, cls: str | None = None, action: str | None = None, based_on: Sequence[Ref] | None = None
    ) -> Position:
        """A decision is proposed."""
        return await self.event(*self._decided("decision.proposed", decision, cls, action, based_on, None))

    async def execute(
        self,
        decision: str,
        answer: Answer | None = None,
        *,
        cls: str | None = None,
        action: str | None = None,
        based_on: Sequence[Ref] | None = None,
    ) -> Position:
        """It has been executed; ``answer`` is that of the check it rests on."""
        return await self.event(*self._decided("action.executed", decision, cls, action, based_on, answer))

    async def check(self, *, cls: str | None = None, bounds: Mapping[str, Bounds] | None = None, timeout: float | None = None) -> Answer:
        """Whether the context holds, all that this object has written included."""
        if self._client is None:
            raise ValueError("this workflow has no client to ask with")
        return await self._client.check(question(self, cls, bounds), timeout=timeout)

    async def require(self, *, cls: str | None = None, bounds: Mapping[str, Bounds] | None = None, timeout: float | None = None) -> Answer:
        """Like check, but raises NotFresh unless the context holds."""
        answer = await self.check(cls=cls, bounds=bounds, timeout=timeout)
        if not answer.fresh:
            raise NotFresh(answer)
        return answer

    async def __aenter__(self) -> AsyncWorkflow:
        await self.event(*self._started())
        return self

    async def __aexit__(self, t: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None) -> None:
        await self.event(*self._ended(e))


Named = Union[str, Recording]


def question(workflow: Named, cls: str | None, bounds: Mapping[str, Bounds] | None) -> Check:
    """A check of a workflow, named by its id, or as the object that records it: then what that has written is in the answer."""
    if isinstance(workflow, Recording):
        return Check(workflow.id, cls=cls, bounds=bounds or {}, at_least=workflow.written)
    return Check(workflow, cls=cls, bounds=bounds or {})


def _given(**all_: Any) -> dict[str, Any]:
    return {k: v for k, v in all_.items() if v is not None}
