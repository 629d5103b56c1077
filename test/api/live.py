"""The HTTP API as others see it: a real engine, a fuzzer that reads its OpenAPI document, a real client of the Model Context Protocol, and a browser.

make test-api runs it: FRESHET_BIN=bin/freshet python test/api/live.py [seed]
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

import httpx2
import jsonschema
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

ROOT = Path(__file__).parents[2]
BINARY = os.environ.get("FRESHET_BIN", str(ROOT / "bin" / "freshet"))
TOKEN = "the token of a test"
# What this engine knows of examples/refund.ndjson, in place of the document's examples.
KNOWN = {"id": "wf-7f3", "workflow": "wf-7f3", "decision": "d1", "kind": "policy", "key": "refund", "seq": 17, "owner": "payments"}
# Without what takes minutes (in its coverage of boundaries the fuzzer waits as long as a check may) and without the browser.
SHORT = os.environ.get("FRESHET_FUZZ") == "short"
EXAMPLES = int(os.environ.get("FRESHET_FUZZ_EXAMPLES", "25" if SHORT else "200"))  # of an operation and way of making them


def free() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def ask(url: str, path: str, body: Any = None) -> tuple[int, Any]:
    request = urllib.request.Request(url + path, data=None if body is None else json.dumps(body).encode(), headers={"Authorization": f"Bearer {TOKEN}"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            text, status = answer.read(), answer.status
    except urllib.error.HTTPError as e:
        text, status = e.read(), e.code
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text.decode()


def until(what: str, holds: Any, within: float = 120) -> None:
    end = time.monotonic() + within
    while not holds():
        if time.monotonic() > end:
            raise RuntimeError(f"not within {within:.0f} s: {what}")
        time.sleep(0.2)


@contextmanager
def engine(directory: Path, asks_who: bool = True) -> Iterator[str]:
    directory.mkdir(exist_ok=True)
    tokens = directory / "tokens.yaml"
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    tokens.write_text(f"clients: [{{name: test, tokens: ['sha256:{digest}'], scopes: [check, read, explain, admin]}}]\n")
    broker, url = f"127.0.0.1:{free()}", f"http://127.0.0.1:{free()}"
    log = directory / "log"
    command = [BINARY, "run", "-contracts.file", str(ROOT / "examples" / "refund.yaml"), "-data.dir", str(directory / "data"), "-topics.partitions", "4"]
    command += ["-http.listen", url.removeprefix("http://"), "-embedded.listen", broker]
    command += ["-auth.tokens-file", str(tokens)] if asks_who else []
    with log.open("w") as stderr:
        process = subprocess.Popen(command, stderr=stderr)
        try:

            def ready() -> bool:
                if process.poll() is not None:
                    raise RuntimeError(log.read_text())
                try:
                    return ask(url, "/ready")[0] == 200
                except OSError:
                    return False

            until("the engine is ready", ready)
            load = [BINARY, "load", "-kafka.brokers", broker, "-shift-to-now", str(ROOT / "examples" / "refund.ndjson")]
            subprocess.run(load, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

            def judged() -> bool:
                status, said = ask(url, f"/v1/decisions/{KNOWN['workflow']}/{KNOWN['decision']}")
                return status == 200 and all(use["final"] for use in said["uses"])

            until("the decision has its verdict", judged)
            yield url
        finally:
            process.terminate()
            process.wait(30)
        panics = [line for line in log.read_text().splitlines() if "a request has failed" in line or "panic" in line]
        if panics:
            raise RuntimeError("the engine's log:\n" + "\n".join(panics[:10]))


def known(document: dict[str, Any]) -> dict[str, Any]:
    """The document with examples that this engine knows: who guesses ids gets 404 only."""
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", []):
                if parameter["name"] in KNOWN and parameter["in"] in ("path", "query"):
                    parameter["example"] = KNOWN[parameter["name"]]
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            for example in body.get("examples", {}).values():
                text = json.dumps(example["value"]).replace('"w"', '"wf-7f3"').replace('"p"', '"refund"')
                example["value"] = json.loads(text)
    return document


def fuzz(url: str, directory: Path, seed: int) -> bool:
    status, document = ask(url, "/openapi.json")
    assert status == 200
    file, report = directory / "openapi.json", directory / "report.json"
    file.write_text(json.dumps(known(document)))
    command = [str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(ROOT / "test" / "api" / "schemathesis.toml"), "run", str(file), "--url", url, "-H", f"Authorization: Bearer {TOKEN}"]
    command += ["--checks", "all", "-n", str(EXAMPLES), "--seed", str(seed), "--request-timeout", "60", "--max-response-time", "60", "--continue-on-failure", "--suppress-health-check", "all"]
    command += ["--exclude-operation-id", "watch"]  # it does not end
    command += ["--report", "json", "--report-json-path", str(report)]
    command += ["--phases", "examples,fuzzing,stateful"] if SHORT else []
    print(f"schemathesis, seed {seed}: every operation of the document but watch, {EXAMPLES} examples each and way of making them", flush=True)
    done = subprocess.run(command, cwd=directory)
    return done.returncode == 0


async def tools(url: str) -> int:
    """Call each tool, and look at what it says with its own schema."""
    calls: dict[str, list[dict[str, Any]]] = {
        "check_freshness": [{"workflow": "wf-7f3"}, {"workflow": "nobody"}, {"workflow": "wf-7f3", "items": [{"kind": "policy", "key": "refund", "seq": 19}]}],
        "explain_decision": [{"workflow": "wf-7f3", "decision_id": "d1"}],
        "list_stale": [{}, {"workflow_type": "refund", "limit": 1}],
        "source_status": [{"kind": "policy", "key": "refund"}],
    }
    wrong = {"explain_decision": {"workflow": "wf-7f3", "decision_id": "none"}, "source_status": {"kind": "no", "key": "where"}, "check_freshness": {"workflow": ""}}
    n = 0
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30) as http:
        async with streamable_http_client(url + "/mcp", http_client=http) as streams, ClientSession(streams[0], streams[1]) as session:
            await session.initialize()
            offered = {tool.name: tool for tool in (await session.list_tools()).tools}
            assert set(offered) == set(calls), f"tools {sorted(offered)}"
            for name, arguments in calls.items():
                tool = offered[name]
                assert tool.description and tool.input_schema["properties"] and tool.output_schema, name
                for given in arguments:
                    jsonschema.validate(given, tool.input_schema)
                    result = await session.call_tool(name, given)
                    assert not result.is_error and result.structured_content is not None, f"{name}({given}): {result}"
                    jsonschema.validate(result.structured_content, tool.output_schema)
                    n += 1
                    print(f"mcp: {name}({json.dumps(given)}): {json.dumps(result.structured_content)[:100]}…")
            for name, given in wrong.items():
                result = await session.call_tool(name, given)
                assert result.is_error and result.content, f"{name}({given}): {result}"
                n += 1
                print(f"mcp: {name}({json.dumps(given)}): error, {result.content[0].text}")
    return n


def page(browser: str, url: str, view: str, holds: list[str], lacks: list[str]) -> None:
    """Look at a view of the page at /ui/ after its script has run."""
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--dump-dom", f"{url}/ui/#/{view}"]
    seen = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    for text in holds:
        assert text in seen.stdout, f"the view {view} lacks {text!r}: {seen.stdout}\n{seen.stderr[-2000:]}"
    for text in lacks + ["[object", "undefined", "NaN"]:
        assert text not in seen.stdout, f"the view {view} has {text!r}: {seen.stdout}"


def pages(directory: Path, guarded: str) -> None:
    """The page in a browser: without a token nothing but the wish for one, and on an engine that wants none every view."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        print("NOT TESTED: the page in a browser; there is no chromium")
        return
    for view in ("status", "stale", "decision/wf-7f3/d1"):
        page(browser, guarded, view, ["no token"], ["payments", "refund", "<table", 'id="token" hidden'])
    views = {
        "status": ["ready</span>", "freshet-workflows", "complete through", "Nothing fires.", "UTC · at most"],
        "stale": ["wf-7f3</a>", "hold_approval", "payments"],
        "workflow/wf-7f3": ["reapprove", "engine lag", "approval.granted", "workflow.context/", ">d1</a>"],
        "decision/wf-7f3/d1": ["action.executed at", "consumer_lag 57.9 s, agents-platform", "source.available", "revision 1"],
        "stale/refund": ["of type refund", "wf-7f3</a>"],
        "stale/other": ["of type other", "None."],
        "why/Watchdog": ["Why Watchdog does or does not page", "who is told"],
        "workflow/nobody": ["nothing is known of a workflow of this id"],
        "check/wf-7f3": ["Does the context of a workflow still hold?"],
    }
    with engine(directory / "open", asks_who=False) as url:
        for view, holds in views.items():
            page(browser, url, view, holds, [])
    print(f"the page: {len(views)} views in {browser}, and 3 without a token")


def main() -> int:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(1 << 31)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with engine(directory) as url:
            print(f"mcp: {asyncio.run(tools(url))} calls of the tools by the Python client, each answer as its schema says")
            if not SHORT:
                pages(directory, url)
            good = fuzz(url, directory, seed)
            status, said = ask(url, "/ready")
            if status != 200:
                print(f"afterwards the engine is not ready: {said}")
                good = False
    if not good:
        print(f"again: python test/api/live.py {seed}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
