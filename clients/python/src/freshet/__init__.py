"""Ask Freshet whether the context an agent is about to act on still holds.

Everything here fails closed: where there is no answer, there is no leave to act.
"""

from ._answer import Answer, Current, Item, Share, Used
from ._client import AsyncClient, Client, Event
from ._errors import FreshetError, NotFresh, Problem, Unreachable
from ._guard import requires_fresh
from ._request import Bounds, Check, Position, Ref
from ._workflow import AsyncWorkflow, Workflow

__all__ = [
    "Answer",
    "AsyncClient",
    "AsyncWorkflow",
    "Bounds",
    "Check",
    "Client",
    "Current",
    "Event",
    "FreshetError",
    "Item",
    "NotFresh",
    "Position",
    "Problem",
    "Ref",
    "Share",
    "Unreachable",
    "Used",
    "Workflow",
    "requires_fresh",
]
