"""What does not need a server: retries, streams, encoding."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import httpx
import pytest

from freshet import AsyncClient, Check, Client, FreshetError, Position, Problem, Ref, Unreachable, Workflow

ANSWER = {
    "verdict": "fresh", "action": "proceed", "reasons": [], "items": [], "workflow": "w", "at": "2026-03-01T10:00:00Z", "check_id": "x",
}  # fmt: skip


def served(*responses: httpx.Response | Exception) -> tuple[httpx.MockTransport, list[httpx.Request]]:
    """A server that answers with these, the last one again and again."""
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        r = responses[min(len(seen), len(responses)) - 1]
        if isinstance(r, Exception):
            raise r
        return r

    return httpx.MockTransport(handle), seen


def asking(transport: httpx.MockTransport) -> Client:
    return Client("http://freshet", http=httpx.Client(transport=transport), token=lambda: "t0ken")


def test_what_may_help_is_tried_again() -> None:
    busy = httpx.Response(503, json={"title": "busy", "type": "urn:freshet:problem:too-many-connections"})
    transport, seen = served(busy, httpx.ConnectError("refused"), httpx.Response(200, json=ANSWER))
    assert asking(transport).check("w").fresh
    assert len(seen) == 3 and seen[0].headers["authorization"] == "Bearer t0ken"


def test_what_is_wrong_is_not_asked_again() -> None:
    transport, seen = served(httpx.Response(400, json={"title": "bad", "pointer": "/workflow"}))
    with pytest.raises(Problem) as e:
        asking(transport).check("w")
    assert e.value.pointer == "/workflow" and len(seen) == 1


def test_a_server_that_stays_down_is_asked_less() -> None:
    transport, seen = served(httpx.ConnectError("refused"))
    client = asking(transport)
    for _ in range(30):
        with pytest.raises(Unreachable):
            client.check("w")
    assert len(seen) <= 40


async def test_the_other_client_does_the_same() -> None:
    transport, seen = served(httpx.Response(429, headers={"Retry-After": "0"}, json={"title": "slow down"}), httpx.Response(200, json=ANSWER))
    async with AsyncClient("http://freshet", http=httpx.AsyncClient(transport=transport)) as client:
        assert (await client.check("w")).fresh and len(seen) == 2
    transport, _ = served(httpx.Response(503, text="gateway"))
    async with AsyncClient("http://freshet", http=httpx.AsyncClient(transport=transport)) as client:
        with pytest.raises(Problem) as e:
            await client.check("w", timeout=0.2)
        assert e.value.detail == "gateway"


def test_what_is_sent() -> None:
    check = Check(
        "w", items=[], at_least=[Position("t", 1, 2)], at=datetime(2026, 3, 1, 10, tzinfo=timezone.utc), max_engine_lag=1.5
    )
    assert check.to_json(10) == {
        "workflow": "w", "items": [], "at_least": [{"topic": "t", "partition": 1, "offset": 2}], "max_engine_lag_s": 1.5, "wait_s": 8.0,
        "at": "2026-03-01T10:00:00+00:00",
    }  # fmt: skip
    assert Check("w").to_json(10) == {"workflow": "w"}
    assert Ref("k", "x", seq=0).to_json() == {"kind": "k", "key": "x", "seq": 0}


def test_a_watch_goes_on_after_the_last_event() -> None:
    first = httpx.Response(200, text=': hi\n\nevent: verdict\nid: 1\ndata: {"a":\ndata: 1}\n\nevent: verdict\nid: 9\ndata: 1')
    second = httpx.Response(200, text="event: bookmark\nid: 2\ndata: {}\n\n")
    transport, seen = served(first, second)
    events = asking(transport).watch("w 1")
    assert [(e.name, e.id, e.data) for e in (next(events), next(events))] == [("verdict", "1", {"a": 1}), ("bookmark", "2", {})]
    assert seen[1].headers["last-event-id"] == "1" and seen[0].url.params["workflow"] == "w 1"


def test_what_is_told_to_wait_has_the_time() -> None:
    transport, seen = served(httpx.Response(200, json=ANSWER))
    client = asking(transport)
    client.check(Check("w", wait=20.0))
    client.check("w", timeout=3.0)
    assert seen[0].extensions["timeout"]["read"] > 20 > 5 > seen[1].extensions["timeout"]["read"]


def test_what_is_no_answer_is_no_leave() -> None:
    transport, _ = served(httpx.Response(200, text="<html>a proxy</html>"))
    with pytest.raises(FreshetError, match="no JSON"):
        asking(transport).check("w")


def test_of_one_partition_the_last_write_is_waited_for() -> None:
    class Events:
        offsets = [7, 5, 9]

        def write(self, topic: str, key: str, headers: Mapping[str, str], data: Mapping[str, Any]) -> Position:
            return Position(topic, 0, self.offsets.pop(0))

    w = Workflow("w", events=Events())
    for _ in range(2):
        w.load(Ref("k", "x", seq=1))
    assert w.written == [Position("workflow.context", 0, 7)]
    w.drop(Ref("k", "x"))
    assert w.written == [Position("workflow.context", 0, 9)]
