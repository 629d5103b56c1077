"""A decorator that lets a function run only while its context holds."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ._answer import Answer
from ._client import AsyncClient, Client
from ._errors import NotFresh
from ._request import Bounds, Check
from ._workflow import Named, question

F = TypeVar("F", bound=Callable[..., Any])


def told(f: Callable[..., Any], kwargs: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """The arguments for a function, with the id of the check if it has a parameter for it."""
    if "check_id" in inspect.signature(f).parameters and "check_id" not in kwargs:
        return kwargs | {"check_id": answer.check_id}
    return kwargs


def requires_fresh(
    client: Client | AsyncClient,
    *,
    workflow: str | Callable[..., Named] = "workflow",
    cls: str | None = None,
    bounds: Mapping[str, Bounds] | None = None,
    on_refusal: Callable[[NotFresh], Any] | None = None,
) -> Callable[[F], F]:
    """Let a function run only if the context of its workflow is fresh.

    ``workflow`` names the parameter that has the workflow's id, or the Workflow that records it (what that has written is then in the
    answer), or computes either from the arguments. A parameter ``check_id``, if the
    function has one, gets the id of the check. ``on_refusal`` makes the result where the context does not hold; without it NotFresh is
    raised. Where nobody can be asked, that error is raised and the function does not run.
    """

    def decorate(f: F) -> F:
        signature = inspect.signature(f)

        def check_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Check:
            if callable(workflow):
                named = workflow(*args, **kwargs)
            else:
                named = signature.bind_partial(*args, **kwargs).arguments[workflow]
            return question(named, cls, bounds)

        if inspect.iscoroutinefunction(f):
            if not isinstance(client, AsyncClient):
                raise TypeError("a coroutine is guarded by an AsyncClient")
            asking = client

            @functools.wraps(f)
            async def guarded_async(*args: Any, **kwargs: Any) -> Any:
                try:
                    answer = await asking.require(check_of(args, kwargs))
                except NotFresh as e:
                    if on_refusal is None:
                        raise
                    return on_refusal(e)
                return await f(*args, **told(f, kwargs, answer))

            return guarded_async  # type: ignore[return-value]

        if not isinstance(client, Client):
            raise TypeError("a function is guarded by a Client")
        blocking = client

        @functools.wraps(f)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            try:
                answer = blocking.require(check_of(args, kwargs))
            except NotFresh as e:
                if on_refusal is None:
                    raise
                return on_refusal(e)
            return f(*args, **told(f, kwargs, answer))

        return guarded  # type: ignore[return-value]

    return decorate
