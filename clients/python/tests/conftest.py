"""A real server: the engine with its embedded broker, on free ports."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import httpx
import pytest

from freshet import Client, Position, Workflow
from freshet.kafka import KafkaEvents

CONTRACT = """
version: 1
owners: {payments: {}, risk: {}}
contexts: {policy: {owner: risk}}
workflows:
  refund: {owner: payments, bounds: {policy: {max_versions_behind: 0}}}
lateness: {default: 0s}
"""
ROOT = Path(__file__).parents[3]


def free() -> int:
    """A port that is free and stays so: systems hand out higher ones, to outgoing connections too."""
    while True:
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", random.randrange(20_000, 30_000)))
            return int(s.getsockname()[1])


@dataclass
class Engine:
    url: str
    brokers: str
    events: KafkaEvents

    def publish(self, key: str, seq: int) -> Position:
        """The truth has changed."""
        subject = f"policy/{key}"
        headers = {
            "ce_specversion": "1.0",
            "ce_id": str(uuid.uuid4()),
            "ce_source": "/policies",
            "ce_type": "source.updated",
            "ce_time": datetime.now(timezone.utc).isoformat(),
            "ce_subject": subject,
        }
        data = {"kind": "policy", "key": key, "version": f"v{seq}", "seq": seq}
        return self.events.write("context.source", subject, headers, data)

    def workflow(self, client: Client | None = None) -> Workflow:
        return Workflow(f"wf-{uuid.uuid4()}", type="refund", events=self.events, client=client)


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    directory = tmp_path_factory.mktemp("engine")
    binary = os.environ.get("FRESHET_BIN") or str(directory / "freshet")
    if "FRESHET_BIN" not in os.environ:
        subprocess.run(["go", "build", "-o", binary, "./cmd/freshet"], cwd=ROOT, check=True)
    contract = directory / "contracts.yaml"
    contract.write_text(CONTRACT)
    http, broker = free(), free()
    log = (directory / "log").open("w")
    process = subprocess.Popen(
        [
            binary, "run", "-contracts.file", str(contract), "-data.dir", str(directory / "data"),
            "-http.listen", f"127.0.0.1:{http}", "-embedded.listen", f"127.0.0.1:{broker}", "-topics.partitions", "4",
        ],
        stderr=log,
    )  # fmt: skip
    url = f"http://127.0.0.1:{http}"
    try:
        for _ in range(3000):
            if process.poll() is not None:
                raise RuntimeError((directory / "log").read_text())
            try:
                if httpx.get(url + "/ready").status_code == 200:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        else:
            raise RuntimeError("the engine is not ready: " + (directory / "log").read_text())
        brokers = f"127.0.0.1:{broker}"
        yield Engine(url, brokers, KafkaEvents(brokers))
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def client(engine: Engine) -> Iterator[Client]:
    with Client(engine.url, timeout=20) as c:
        yield c
