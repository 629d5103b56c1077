"""The clients, one for each way of waiting. What they ask and read is the same."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Union

import httpx

from ._answer import Answer
from ._errors import FreshetError, NotFresh, Unreachable
from ._request import Check
from ._retry import Budget, problem

Token = Union[str, Callable[[], str], None]
_SILENCE = 10.0  # seconds without anything, not even a bookmark, after which a watch connects anew
DEFAULT_SERVER = "http://127.0.0.1:8080"


@dataclass(frozen=True)
class Event:
    """One event of a watch: verdict, detection, alert or bookmark."""

    name: str
    id: str  # where to go on after it
    data: Any


def _headers(token: Token) -> dict[str, str]:
    text = token() if callable(token) else token
    return {} if text is None else {"Authorization": f"Bearer {text}"}


def _check(check: Check | str) -> Check:
    return Check(check) if isinstance(check, str) else check


def _waits(check: Check | str) -> float:
    """What the server is told to wait comes on top of the time that its answer may take."""
    return 0.0 if isinstance(check, str) else check.wait or 0.0


def _read(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError as e:
        raise FreshetError(f"{response.url}: what was answered is no JSON: {response.text[:100]!r}") from e


class _Lines:
    """Server-sent events out of lines (WHATWG HTML, 9.2.6)."""

    def __init__(self) -> None:
        self.name, self.id, self.data = "", "", list[str]()

    def take(self, line: str) -> Event | None:
        if line == "":
            event = None
            if self.data:
                event = Event(self.name or "message", self.id, json.loads("\n".join(self.data)))
            self.name, self.data = "", []
            return event
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self.name = value
        elif field == "id":
            self.id = value
        elif field == "data":
            self.data.append(value)
        return None


class Client:
    """Asks a server. It may be used by many threads."""

    def __init__(
        self, server: str = DEFAULT_SERVER, *, token: Token = None, timeout: float = 5.0, http: httpx.Client | None = None
    ) -> None:
        self._server, self._token, self._timeout, self._budget = server.rstrip("/"), token, timeout, Budget()
        self._own = http is None
        self._http = http or httpx.Client(limits=httpx.Limits(max_keepalive_connections=64))

    def check(self, check: Check | str, *, timeout: float | None = None) -> Answer:
        """Ask one thing. Without an answer it raises: that is not leave to act either."""
        left = timeout or self._timeout + _waits(check)
        return Answer.from_json(self._ask("POST", "/v1/check", _check(check).to_json(left), left))

    def check_all(self, checks: Sequence[Check | str], *, timeout: float | None = None) -> list[Answer]:
        """Ask up to 100 things at once."""
        left = timeout or self._timeout + max((_waits(c) for c in checks), default=0.0)
        all_ = self._ask("POST", "/v1/check:batch", [_check(c).to_json(left) for c in checks], left)
        return [Answer.from_json(a) for a in all_]

    def require(self, check: Check | str, *, timeout: float | None = None) -> Answer:
        """Like check, but raises NotFresh unless the context holds."""
        answer = self.check(check, timeout=timeout)
        if not answer.fresh:
            raise NotFresh(answer)
        return answer

    def get(self, path: str, *, timeout: float | None = None) -> Any:
        """The JSON of a path, such as /v1/status."""
        return self._ask("GET", path, None, timeout or self._timeout)

    def watch(self, workflow: str | None = None, *, after: str = "") -> Iterator[Event]:
        """Every event from now on, or from after an event's id. It connects again by itself."""
        failures = 0
        while True:
            lines = _Lines()
            lines.id = after
            error: FreshetError
            try:
                with self._stream(workflow, after) as response:
                    if response.status_code != 200:
                        response.read()
                        raise problem(response)
                    for line in response.iter_lines():
                        event = lines.take(line)
                        if event is not None:
                            failures, after = 0, event.id or after
                            yield event
                error = Unreachable("the stream has ended")
            except httpx.RequestError as e:
                error = Unreachable(str(e))
            except FreshetError as e:
                error = e
            wait = self._budget.wait(error, min(failures, 2), float("inf"))
            if wait is None:
                raise error
            failures += 1
            time.sleep(wait)

    def _stream(self, workflow: str | None, after: str) -> Any:
        headers = _headers(self._token) | {"Accept": "text/event-stream"} | ({"Last-Event-ID": after} if after else {})
        params = {"workflow": workflow} if workflow else {}
        timeout = httpx.Timeout(self._timeout, read=_SILENCE)
        return self._http.stream("GET", self._server + "/v1/watch", params=params, headers=headers, timeout=timeout)

    def _ask(self, method: str, path: str, body: Any, time_left: float) -> Any:
        end = time.monotonic() + time_left
        attempt = 0
        while True:
            try:
                return self._once(method, path, body, max(0.001, end - time.monotonic()))
            except FreshetError as e:
                wait = self._budget.wait(e, attempt, end - time.monotonic())
                if wait is None:
                    raise
            attempt += 1
            time.sleep(wait)

    def _once(self, method: str, path: str, body: Any, timeout: float) -> Any:
        try:
            r = self._http.request(method, self._server + path, json=body, headers=_headers(self._token), timeout=timeout)
        except httpx.RequestError as e:
            raise Unreachable(f"{self._server}: {e}") from e
        if r.status_code != 200:
            raise problem(r)
        self._budget.succeeded()
        return _read(r)

    def close(self) -> None:
        if self._own:
            self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, t: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


class AsyncClient:
    """Asks a server without holding up an event loop."""

    def __init__(
        self, server: str = DEFAULT_SERVER, *, token: Token = None, timeout: float = 5.0, http: httpx.AsyncClient | None = None
    ) -> None:
        self._server, self._token, self._timeout, self._budget = server.rstrip("/"), token, timeout, Budget()
        self._own = http is None
        self._http = http or httpx.AsyncClient(limits=httpx.Limits(max_keepalive_connections=64))

    async def check(self, check: Check | str, *, timeout: float | None = None) -> Answer:
        """Ask one thing. Without an answer it raises: that is not leave to act either."""
        left = timeout or self._timeout + _waits(check)
        return Answer.from_json(await self._ask("POST", "/v1/check", _check(check).to_json(left), left))

    async def check_all(self, checks: Sequence[Check | str], *, timeout: float | None = None) -> list[Answer]:
        """Ask up to 100 things at once."""
        left = timeout or self._timeout + max((_waits(c) for c in checks), default=0.0)
        all_ = await self._ask("POST", "/v1/check:batch", [_check(c).to_json(left) for c in checks], left)
        return [Answer.from_json(a) for a in all_]

    async def require(self, check: Check | str, *, timeout: float | None = None) -> Answer:
        """Like check, but raises NotFresh unless the context holds."""
        answer = await self.check(check, timeout=timeout)
        if not answer.fresh:
            raise NotFresh(answer)
        return answer

    async def get(self, path: str, *, timeout: float | None = None) -> Any:
        """The JSON of a path, such as /v1/status."""
        return await self._ask("GET", path, None, timeout or self._timeout)

    async def watch(self, workflow: str | None = None, *, after: str = "") -> AsyncIterator[Event]:
        """Every event from now on, or from after an event's id. It connects again by itself."""
        failures = 0
        while True:
            lines = _Lines()
            lines.id = after
            error: FreshetError
            try:
                async with self._stream(workflow, after) as response:
                    if response.status_code != 200:
                        await response.aread()
                        raise problem(response)
                    async for line in response.aiter_lines():
                        event = lines.take(line)
                        if event is not None:
                            failures, after = 0, event.id or after
                            yield event
                error = Unreachable("the stream has ended")
            except httpx.RequestError as e:
                error = Unreachable(str(e))
            except FreshetError as e:
                error = e
            wait = self._budget.wait(error, min(failures, 2), float("inf"))
            if wait is None:
                raise error
            failures += 1
            await asyncio.sleep(wait)

    def _stream(self, workflow: str | None, after: str) -> Any:
        headers = _headers(self._token) | {"Accept": "text/event-stream"} | ({"Last-Event-ID": after} if after else {})
        params = {"workflow": workflow} if workflow else {}
        timeout = httpx.Timeout(self._timeout, read=_SILENCE)
        return self._http.stream("GET", self._server + "/v1/watch", params=params, headers=headers, timeout=timeout)

    async def _ask(self, method: str, path: str, body: Any, time_left: float) -> Any:
        end = time.monotonic() + time_left
        attempt = 0
        while True:
            try:
                return await self._once(method, path, body, max(0.001, end - time.monotonic()))
            except FreshetError as e:
                wait = self._budget.wait(e, attempt, end - time.monotonic())
                if wait is None:
                    raise
            attempt += 1
            await asyncio.sleep(wait)

    async def _once(self, method: str, path: str, body: Any, timeout: float) -> Any:
        try:
            r = await self._http.request(method, self._server + path, json=body, headers=_headers(self._token), timeout=timeout)
        except httpx.RequestError as e:
            raise Unreachable(f"{self._server}: {e}") from e
        if r.status_code != 200:
            raise problem(r)
        self._budget.succeeded()
        return _read(r)

    async def close(self) -> None:
        if self._own:
            await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, t: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None) -> None:
        await self.close()
