"""Appends until it is killed; prints what was acknowledged. Started by tests of the log."""

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
    shared = sys.argv[2] if len(sys.argv) > 2 else None
    opened = AuditLog.open(
        Path(sys.argv[1]), database=shared, keys_database=shared and f"{shared}#keys"
    )
    workers = [threading.Thread(target=work, args=(opened,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    # Python 3.12 starts no thread once the main one has ended, and a leader starts one a follower.
    for worker in workers:
        worker.join()
