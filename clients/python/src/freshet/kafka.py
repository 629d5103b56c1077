"""Events to Kafka. Needs ``pip install freshet[kafka]``."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Producer

from ._errors import FreshetError, Unreachable
from ._request import Position


class KafkaEvents:
    """Writes CloudEvents in binary mode, and waits for each acknowledgement: it is what a check waits for.

    Records are placed by murmur2, as the contract's default is; librdkafka's own default would have them rerouted. ``config`` is
    librdkafka's and wins.
    """

    def __init__(self, brokers: str = "127.0.0.1:19092", *, timeout: float = 10.0, config: Mapping[str, Any] | None = None) -> None:
        self._timeout = timeout
        self._producer = Producer(
            {"bootstrap.servers": brokers, "partitioner": "murmur2_random", "acks": "all", "enable.idempotence": True, "linger.ms": 0}
            | dict(config or {})
        )

    def write(self, topic: str, key: str, headers: Mapping[str, str], data: Mapping[str, Any]) -> Position:
        acknowledged = threading.Event()
        result: list[Any] = []

        def delivered(error: Any, message: Any) -> None:
            result.extend((error, message))
            acknowledged.set()

        self._producer.produce(
            topic, key=key, value=json.dumps(data).encode(), headers=[(k, v.encode()) for k, v in headers.items()], on_delivery=delivered
        )
        self._producer.flush(self._timeout)
        if not acknowledged.wait(0):
            raise Unreachable(f"no acknowledgement from {topic} within {self._timeout} s")
        error, message = result
        if error is not None:
            raise FreshetError(f"write to {topic}: {error}")
        return Position(message.topic(), message.partition(), message.offset())
