"""An agent that would have acted on a superseded policy, and does not.

    freshet run -contracts.file clients/python/examples/contracts.yaml      # in another terminal
    python clients/python/examples/refund_agent.py
"""

from __future__ import annotations

import argparse
import uuid
from datetime import datetime, timezone

from freshet import Check, Client, NotFresh, Ref, Workflow
from freshet.kafka import KafkaEvents


class Policies:
    """Where policies are published: the truth that agents should act on."""

    def __init__(self, events: KafkaEvents) -> None:
        self.events, self.seq = events, 0

    def publish(self) -> Check:
        self.seq += 1
        headers = {
            "ce_specversion": "1.0", "ce_id": str(uuid.uuid4()), "ce_source": "/policies", "ce_type": "source.updated",
            "ce_time": datetime.now(timezone.utc).isoformat(), "ce_subject": "policy/refund",
        }  # fmt: skip
        data = {"kind": "policy", "key": "refund", "version": f"v{self.seq}", "seq": self.seq}
        at = self.events.write("context.source", "policy/refund", headers, data)
        print(f"policies: refund is now at v{self.seq}")
        return Check("nobody", at_least=[at])  # asked to wait until it has been applied


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", default="http://127.0.0.1:8080")
    parser.add_argument("--brokers", default="127.0.0.1:19092")
    args = parser.parse_args()
    events, client = KafkaEvents(args.brokers), Client(args.server, timeout=10)
    policies = Policies(events)
    policies.seq = int(datetime.now(timezone.utc).timestamp())  # the truth goes on from run to run
    client.check(policies.publish())

    with Workflow(f"refund-{uuid.uuid4()}", type="refund", events=events, client=client) as w:
        w.load(Ref("policy", "refund", seq=policies.seq))
        print(f"agent:    {w.id} has read the policy, and thinks")
        w.propose("d1", action="refund 90")
        print(f"agent:    before it acts: {w.check().sentence()}")

        client.check(policies.publish())  # meanwhile
        try:
            w.require()
            raise SystemExit("acted on a superseded policy")
        except NotFresh as refusal:
            print(f"agent:    does not act. {refusal}")

        w.load(Ref("policy", "refund", seq=policies.seq))
        answer = w.require()
        w.execute("d1", answer, action="refund 90")
        print(f"agent:    has read it again and acted on v{policies.seq}; check {answer.check_id}")


if __name__ == "__main__":
    main()
