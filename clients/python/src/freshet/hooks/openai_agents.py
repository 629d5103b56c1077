"""A guardrail for tools of the OpenAI Agents SDK. Needs ``pip install freshet[openai-agents]``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agents import ToolGuardrailFunctionOutput, ToolInputGuardrail, ToolInputGuardrailData

from .._answer import Answer
from .._client import AsyncClient
from .._errors import FreshetError
from .._request import Bounds
from .._workflow import Named, question


def fresh_tool(
    client: AsyncClient,
    *,
    workflow: Callable[[ToolInputGuardrailData], Named],
    cls: str | None = None,
    bounds: Mapping[str, Bounds] | None = None,
    allowed: Callable[[ToolInputGuardrailData, Answer], None] | None = None,
) -> ToolInputGuardrail[Any]:
    """Guard a tool: ``@function_tool(tool_input_guardrails=[fresh_tool(client, workflow=lambda d: d.context.context.workflow)])``.

    ``workflow`` computes the workflow's id, or the Workflow that records it. ``allowed`` is called with the answer before the tool is: its
    check_id belongs into the action.executed. Where the context does not hold the tool is not called, and the model is told so, and what to do instead. Where nobody could be asked
    it is told that, too: the tool does not run either.
    """

    async def guard(data: ToolInputGuardrailData) -> ToolGuardrailFunctionOutput:
        try:
            answer = await client.check(question(workflow(data), cls, bounds))
        except FreshetError as e:
            return ToolGuardrailFunctionOutput.reject_content(
                f"{data.context.tool_name} was not called: it is not known whether the context still holds ({e})."
            )
        if answer.fresh:
            if allowed is not None:
                allowed(data, answer)
            return ToolGuardrailFunctionOutput.allow(output_info={"check_id": answer.check_id})
        return ToolGuardrailFunctionOutput.reject_content(
            f"{data.context.tool_name} was not called. {answer.sentence()}", output_info={"check_id": answer.check_id}
        )

    return ToolInputGuardrail(guardrail_function=guard, name="freshet")
