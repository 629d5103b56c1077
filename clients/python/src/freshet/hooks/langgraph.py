"""A LangGraph node that runs only while its context holds. Needs ``pip install freshet[langgraph]``."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from .._client import AsyncClient, Client
from .._errors import NotFresh
from .._guard import told
from .._request import Bounds, Check
from .._workflow import Named, question

Node = Callable[..., Any]


def fresh_node(
    client: Client | AsyncClient,
    node: Node,
    *,
    workflow: str | Callable[[Any], Named] = "workflow",
    cls: str | None = None,
    bounds: Mapping[str, Bounds] | None = None,
    reload: Callable[[Any], Any] | None = None,
    refuse: Callable[[Any, NotFresh], Any] | None = None,
) -> Node:
    """Put it in place of the node: ``graph.add_node("act", fresh_node(client, act, reload=load))``.

    ``workflow`` is the state's key with the workflow's id, or computes it, or the Workflow that records it, from the state. Where the
    context is stale and can be loaded again, ``reload`` (itself a node: it takes the state and returns an update) does so once, and the
    check is repeated; the update is part of what the node returns. Where it still does not hold, ``refuse`` makes the update or the
    Command that goes elsewhere; without it NotFresh is raised. A parameter ``check_id``, if the node has one, gets the id of the check.

    With an AsyncClient the node becomes a coroutine, and ``node``, ``reload`` and ``refuse`` may be coroutines themselves.
    """

    def check(state: Any) -> Check:
        return question(workflow(state) if callable(workflow) else state[workflow], cls, bounds)

    def joined(update: Mapping[str, Any], result: Any) -> Any:
        return {**update, **result} if update and isinstance(result, Mapping) else result

    if isinstance(client, AsyncClient):
        asking = client

        @functools.wraps(node)
        async def guarded_async(state: Any, *args: Any, **kwargs: Any) -> Any:
            update: dict[str, Any] = {}
            answer = await asking.check(check(state))
            if answer.action == "reload" and reload is not None:
                update = dict(await _awaited(reload(state)))
                state = {**state, **update}
                answer = await asking.check(check(state))
            if not answer.fresh:
                refusal = NotFresh(answer)
                if refuse is None:
                    raise refusal
                return await _awaited(refuse(state, refusal))
            return joined(update, await _awaited(node(state, *args, **told(node, kwargs, answer))))

        return guarded_async

    if any(inspect.iscoroutinefunction(f) for f in (node, reload, refuse)):
        raise TypeError("a coroutine is guarded by an AsyncClient")
    blocking = client

    @functools.wraps(node)
    def guarded(state: Any, *args: Any, **kwargs: Any) -> Any:
        update: dict[str, Any] = {}
        answer = blocking.check(check(state))
        if answer.action == "reload" and reload is not None:
            update = dict(reload(state))
            state = {**state, **update}
            answer = blocking.check(check(state))
        if not answer.fresh:
            refusal = NotFresh(answer)
            if refuse is None:
                raise refusal
            return refuse(state, refusal)
        return joined(update, node(state, *args, **told(node, kwargs, answer)))

    return guarded


async def _awaited(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result
