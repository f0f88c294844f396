"""Appends until it is killed; prints what was acknowledged. Started by test_faults.py."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from chopmark.audit import AuditLog, Event
from chopmark.kit.ids import new_record_id


def work(log: AuditLog) -> None:
    while True:
        record = log.append(
            Event(
                kind="request.received",
                record_id=new_record_id(),
                tenant="default",
                subject=f"person-{threading.get_ident() % 5}",
                private={"prompt": "a red apple"},
            )
        )
        sys.stdout.write(f"{record.event_id} {record.index}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    opened = AuditLog.open(Path(sys.argv[1]))
    workers = [threading.Thread(target=work, args=(opened,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    # Python 3.12 starts no thread once the main one has ended, and a leader starts one a follower.
    for worker in workers:
        worker.join()
