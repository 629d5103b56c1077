"""A LangGraph node that runs only while its context holds. Needs ``pip install freshet[langgraph]``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .._client import Client
from .._errors import NotFresh
from .._request import Bounds, Check

State = Mapping[str, Any]
Node = Callable[[Any], Any]


def fresh_node(
    client: Client,
    node: Node,
    *,
    workflow: str | Callable[[Any], str] = "workflow",
    cls: str | None = None,
    bounds: Mapping[str, Bounds] | None = None,
    reload: Callable[[Any], State] | None = None,
    refuse: Callable[[Any, NotFresh], Any] | None = None,
) -> Node:
    """Put it in place of the node: ``graph.add_node("act", fresh_node(client, act, reload=load))``.

    ``workflow`` is the state's key with the workflow's id, or computes it. Where the context is stale and can be loaded again, ``reload``
    (itself a node: it takes the state and returns an update) does so once, and the check is repeated; the update is part of what the node
    returns. Where it still does not hold, ``refuse`` makes the update or the Command that goes elsewhere; without it NotFresh is raised.
    """

    def check(state: Any) -> Check:
        id_ = workflow(state) if callable(workflow) else state[workflow]
        return Check(id_, cls=cls, bounds=bounds or {})

    def guarded(state: Any) -> Any:
        update: dict[str, Any] = {}
        answer = client.check(check(state))
        if answer.action == "reload" and reload is not None:
            update = dict(reload(state))
            state = {**state, **update}
            answer = client.check(check(state))
        if not answer.fresh:
            refusal = NotFresh(answer)
            if refuse is None:
                raise refusal
            return refuse(state, refusal)
        result = node(state)
        return {**update, **result} if update and isinstance(result, Mapping) else result

    return guarded
