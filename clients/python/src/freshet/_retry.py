"""Whether to try again, and when."""

from __future__ import annotations

import random
import threading

import httpx

from ._errors import FreshetError, Problem, Unreachable

ATTEMPTS = 4
_FIRST, _LONGEST = 0.02, 2.0
_MOST, _SHARE = 10.0, 0.1
_AGAIN = {429, 502, 503, 504}


class Budget:
    """Bounds retries to a share of the requests that succeed, so that clients do not keep a server down."""

    def __init__(self) -> None:
        self._tokens, self._lock = _MOST, threading.Lock()

    def succeeded(self) -> None:
        with self._lock:
            self._tokens = min(_MOST, self._tokens + _SHARE)

    def spend(self) -> bool:
        with self._lock:
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True

    def wait(self, error: FreshetError, attempt: int, time_left: float) -> float | None:
        """Seconds after which to ask again, None if that does not help. Questions change nothing: any may be asked again."""
        if attempt + 1 >= ATTEMPTS:
            return None
        wait: float = _FIRST * float(4**attempt) * random.uniform(0.5, 1.5)
        if isinstance(error, Problem):
            if error.status not in _AGAIN:
                return None
            wait = min(_LONGEST, max(wait, error.retry_after))
        elif not isinstance(error, Unreachable):
            return None
        if wait >= time_left or not self.spend():
            return None
        return wait


def problem(response: httpx.Response) -> Problem:
    try:
        j = response.json()
    except ValueError:
        j = {}
    if not isinstance(j, dict) or "title" not in j:
        j = {"title": response.reason_phrase or "no answer", "detail": response.text[:200]}
    try:
        retry_after = max(0.0, float(response.headers.get("Retry-After", "0")))
    except ValueError:
        retry_after = 0.0
    return Problem(
        response.status_code, str(j.get("type", "")), str(j["title"]), str(j.get("detail", "")), str(j.get("pointer", "")), retry_after
    )
