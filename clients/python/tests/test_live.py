"""Against a real server: what an agent does, end to end."""

from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from freshet import AsyncClient, AsyncWorkflow, Bounds, Check, Client, NotFresh, Problem, Ref, Workflow, requires_fresh

from .conftest import Engine


def key() -> str:
    return f"p-{uuid.uuid4()}"


def test_a_superseded_policy_is_not_acted_on(engine: Engine, client: Client) -> None:
    k = key()
    first = engine.publish(k, 17)
    with engine.workflow(client) as w:
        w.load(Ref("policy", k, seq=17))
        w.propose("d1")
        answer = client.check(Check(w.id, at_least=[first, *w.written]))
        assert answer.fresh and answer.action == "proceed", answer.sentence()
        assert answer.items[0].used.seq == 17 and answer.items[0].current is not None
        assert answer.check_id and answer.engine_lag_s is not None and answer.at is not None

        second = engine.publish(k, 18)
        answer = client.check(Check(w.id, at_least=[second]))
        assert (answer.verdict, answer.action, answer.reasons) == ("stale", "reload", ("versions",))
        assert answer.versions_behind == 1 and answer.owner is not None
        assert "load the context again" in answer.sentence()
        with pytest.raises(NotFresh) as refusal:
            w.require()
        assert refusal.value.answer.verdict == "stale"

        w.load(Ref("policy", k, seq=18))
        w.execute("d1", w.require())


def test_unknown_is_never_fresh(engine: Engine, client: Client) -> None:
    answer = client.check("nobody-knows-it")
    assert answer.verdict == "unknown" and "unknown_workflow" in answer.reasons and not answer.fresh
    with engine.workflow(client) as w:
        w.load(Ref("policy", key(), seq=1))
        assert w.check().reasons == ("unknown_source",)


def test_bounds_and_batches(engine: Engine, client: Client) -> None:
    k = key()
    published = engine.publish(k, 1)
    with engine.workflow(client) as w:
        w.load(Ref("policy", k, seq=1))
        at_least = [published, *w.written]
        fresh, strict = client.check_all(
            [Check(w.id, at_least=at_least), Check(w.id, at_least=at_least, bounds={"policy": Bounds(max_age=0.0)})]
        )
        assert fresh.fresh and strict.verdict == "stale" and strict.reasons == ("age",)


def test_the_server_says_what_is_wrong(client: Client) -> None:
    with pytest.raises(Problem) as e:
        client.check(Check("w", items=[Ref("", "k")]))
    assert e.value.status == 400 and e.value.pointer.startswith("/items/0")


def test_a_guarded_function(engine: Engine, client: Client) -> None:
    k = key()
    published = engine.publish(k, 1)
    acted: list[str] = []

    @requires_fresh(client)
    def act(workflow: str, amount: int, check_id: str = "") -> int:
        acted.append(check_id)
        return amount

    with engine.workflow(client) as w:
        w.load(Ref("policy", k, seq=1))
        client.check(Check(w.id, at_least=[published, *w.written]))
        assert act(w.id, 5) == 5 and acted[0]
        client.check(Check(w.id, at_least=[engine.publish(k, 2)]))
        with pytest.raises(NotFresh):
            act(w.id, amount=6)
        assert len(acted) == 1

        refusing = requires_fresh(client, workflow=lambda w, **_: w, on_refusal=lambda e: e.answer.action)(lambda w, **_: "acted")
        assert refusing(w.id, x=1) == "reload"


async def test_without_holding_up_the_loop(engine: Engine, client: Client) -> None:
    k = key()
    async with AsyncClient(engine.url, timeout=20) as asking:

        @requires_fresh(asking)
        async def act(workflow: str) -> str:
            return "acted"

        published = engine.publish(k, 1)
        w = engine.workflow(client)
        w.load(Ref("policy", k, seq=1))
        assert (await asking.check(Check(w.id, at_least=[published, *w.written]))).fresh
        assert await act(w.id) == "acted"
        await asking.check(Check(w.id, at_least=[engine.publish(k, 2)]))
        with pytest.raises(NotFresh):
            await act(w.id)
        assert [a.verdict for a in await asking.check_all([w.id, "nobody"])] == ["stale", "unknown"]
    with pytest.raises(TypeError):
        requires_fresh(client)(act)


async def test_a_workflow_of_coroutines(engine: Engine) -> None:
    k = key()
    async with AsyncClient(engine.url, timeout=20) as asking:
        acted: list[str] = []

        @requires_fresh(asking)
        async def act(workflow: AsyncWorkflow, check_id: str = "") -> None:
            acted.append(check_id)

        published = engine.publish(k, 1)
        await asking.check(Check("nobody", at_least=[published]))
        async with AsyncWorkflow(f"wf-{uuid.uuid4()}", type="refund", events=engine.events, client=asking) as w:
            with pytest.raises(NotFresh):
                await act(w)
            await w.load(Ref("policy", k, seq=1))
            await act(w)  # at once: what it has written itself is in the answer
            await w.propose("d1", cls="large")
            answer = await w.require(cls="large")
            await w.execute("d1", answer)
            assert len(acted) == 1 and acted[0] and answer.items[0].used.seq == 1
            await w.drop(Ref("policy", k))
            assert (await w.check()).reasons == ("no_context",)
        with pytest.raises(ValueError):
            await AsyncWorkflow("w", events=engine.events).check()


def test_a_function_sees_what_its_workflow_has_loaded(engine: Engine, client: Client) -> None:
    k = key()
    client.check(Check("nobody", at_least=[engine.publish(k, 1)]))

    @requires_fresh(client, workflow="w")
    def act(w: Workflow) -> str:
        return "acted"

    for _ in range(5):
        with engine.workflow(client) as w:
            w.load(Ref("policy", k, seq=1))
            assert act(w) == "acted"


def test_the_example(engine: Engine) -> None:
    example = Path(__file__).parents[1] / "examples" / "refund_agent.py"
    done = subprocess.run([sys.executable, str(example), "--server", engine.url, "--brokers", engine.brokers], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    before, refused, again = (done.stdout.find(text) for text in ("is fresh", "does not act", "acted on v"))
    assert 0 <= before < refused < again, done.stdout
