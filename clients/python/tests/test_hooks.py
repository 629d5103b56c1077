"""The hooks, in the frameworks themselves, against a real server."""

from __future__ import annotations

import uuid
from types import SimpleNamespace
from typing import Any, TypedDict

import pytest

from freshet import AsyncClient, Check, Client, NotFresh, Ref

from .conftest import Engine


def test_a_langgraph_node(engine: Engine, client: Client) -> None:
    graph = pytest.importorskip("langgraph.graph")
    from freshet.hooks.langgraph import fresh_node

    class State(TypedDict, total=False):
        workflow: str
        policy: int
        done: str

    key = str(uuid.uuid4())
    published = engine.publish(key, 1)
    w = engine.workflow(client)
    w.load(Ref("policy", key, seq=1))
    client.check(Check(w.id, at_least=[published, *w.written]))
    newest = 1

    def reload(_: State) -> dict[str, Any]:
        w.load(Ref("policy", key, seq=newest))
        w.check()  # until it has been applied
        return {"policy": newest}

    def act(state: State) -> dict[str, Any]:
        return {"done": f"under policy {state.get('policy', 1)}"}

    def run(node: Any) -> Any:
        g = graph.StateGraph(State)
        g.add_node("act", node)
        g.set_entry_point("act")
        g.set_finish_point("act")
        return g.compile().invoke({"workflow": w.id})

    assert run(fresh_node(client, act, reload=reload))["done"] == "under policy 1"
    newest = 2
    client.check(Check(w.id, at_least=[engine.publish(key, 2)]))
    with pytest.raises(NotFresh):
        run(fresh_node(client, act))
    assert run(fresh_node(client, act, refuse=lambda _, e: {"done": e.answer.action}))["done"] == "reload"
    assert run(fresh_node(client, act, reload=reload)) == {"workflow": w.id, "policy": 2, "done": "under policy 2"}


async def test_a_langgraph_node_that_is_a_coroutine(engine: Engine, client: Client) -> None:
    graph = pytest.importorskip("langgraph.graph")
    from freshet.hooks.langgraph import fresh_node
    from langchain_core.runnables import RunnableConfig

    class State(TypedDict, total=False):
        workflow: str
        policy: int
        done: str

    key = str(uuid.uuid4())
    client.check(Check("nobody", at_least=[engine.publish(key, 1)]))
    w = engine.workflow(client)
    w.load(Ref("policy", key, seq=1))
    checks: list[str] = []

    async def reload(_: State) -> dict[str, Any]:
        w.load(Ref("policy", key, seq=2))
        return {"policy": 2}

    async def act(state: State, config: RunnableConfig, check_id: str = "") -> dict[str, Any]:
        checks.append(check_id)
        return {"done": f"policy {state.get('policy', 1)} for {config['configurable']['who']}"}

    async def run(node: Any) -> Any:
        g = graph.StateGraph(State)
        g.add_node("act", node)
        g.set_entry_point("act")
        g.set_finish_point("act")
        return await g.compile().ainvoke({"workflow": w.id}, {"configurable": {"who": "me"}})

    async with AsyncClient(engine.url, timeout=20) as asking:
        # The Workflow itself is named: the check sees what it has loaded just now.
        node = fresh_node(asking, act, workflow=lambda _: w, reload=reload)
        assert (await run(node))["done"] == "policy 1 for me" and checks[0]
        client.check(Check(w.id, at_least=[engine.publish(key, 2)]))
        refusing = fresh_node(asking, act, workflow=lambda _: w, refuse=lambda _, e: {"done": e.answer.action})
        assert (await run(refusing))["done"] == "reload" and len(checks) == 1
        assert (await run(node))["done"] == "policy 2 for me" and len(checks) == 2
    with pytest.raises(TypeError):
        fresh_node(client, act)


async def test_a_tool_of_the_agents_sdk(engine: Engine, client: Client) -> None:
    pytest.importorskip("agents")
    from freshet.hooks.openai_agents import fresh_tool

    key = str(uuid.uuid4())
    published = engine.publish(key, 1)
    w = engine.workflow(client)
    w.load(Ref("policy", key, seq=1))
    client.check(Check(w.id, at_least=[published, *w.written]))
    data: Any = SimpleNamespace(context=SimpleNamespace(tool_name="refund", context=SimpleNamespace(workflow=w.id)))

    async with AsyncClient(engine.url, timeout=20) as asking:
        answers: list[str] = []
        guard = fresh_tool(asking, workflow=lambda d: d.context.context.workflow, allowed=lambda _, a: answers.append(a.check_id))
        allowed = await guard.run(data)
        assert allowed.behavior["type"] == "allow" and answers == [allowed.output_info["check_id"]]
        await asking.check(Check(w.id, at_least=[engine.publish(key, 2)]))
        refused = await guard.run(data)
        assert len(answers) == 1 and refused.behavior["type"] == "reject_content" and "load the context again" in refused.behavior["message"]
    async with AsyncClient("http://127.0.0.1:1", timeout=0.2) as nobody:
        refused = await fresh_tool(nobody, workflow=lambda d: w.id).run(data)
        assert refused.behavior["type"] == "reject_content" and "not known" in refused.behavior["message"]
