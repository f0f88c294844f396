"""Where the work runs: processes that are bounded, can be killed, and use every core.

Whoever has work hands a named job to an :class:`~chopmark.workers.interface.Engine`, with bytes in
and bytes or a coded error out, and says how long it may take, how much memory, and for which tenant
it is. :class:`LocalEngine` runs jobs in processes of this machine, in three pools:

``files``
    parses what strangers send (pictures, manifests, metadata). It has no key, no database, no
    network, no environment and, where the kernel allows, no file and no socket
    (:mod:`~chopmark.workers.sandbox`). A process serves one tenant.
``texts``
    judges words, confined alike.
``trusted``
    has the keys. It judges, marks and signs, and is given raw pixels and parsed values only.

A job over its time or memory is killed with its process, which is replaced from a process that has
the models loaded (:mod:`~chopmark.workers.nursery`), within milliseconds.

Pools of the standard library and of PyPI (``concurrent.futures``, loky, pebble, billiard) unpickle
whatever a worker sends. A process that parses strangers' files must not be believed so far, which
is why the pool is our own; ``fork``, ``pidfd``, Landlock and seccomp are the kernel's.

>>> from chopmark.workers import LocalEngine, usual_number
>>> usual_number() >= 1
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.kit.door import lazy_door

if TYPE_CHECKING:
    from chopmark.workers.engine import LocalEngine, usual_number
    from chopmark.workers.interface import Answer, Engine, Job, JobTable, PoolName
    from chopmark.workers.pool import PoolPlan
    from chopmark.workers.worker import Manner

__all__ = [
    "Answer",
    "Engine",
    "Job",
    "JobTable",
    "LocalEngine",
    "Manner",
    "PoolName",
    "PoolPlan",
    "usual_number",
]

__getattr__, __dir__ = lazy_door(
    __name__,
    {
        "Answer": "interface",
        "Engine": "interface",
        "Job": "interface",
        "JobTable": "interface",
        "LocalEngine": "engine",
        "Manner": "worker",
        "PoolName": "interface",
        "PoolPlan": "pool",
        "usual_number": "engine",
    },
)
