"""A policy on its way to a worker: packed once here, and unpacked once there.

Every judgement names its policy, which is the same one for hours.
"""

from __future__ import annotations

import functools
import pickle
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from chopmark.safety import Policy

__all__ = ["pack_policy", "unpack_policy"]

_MOST: Final = 64
_lock = threading.Lock()
# By identity: a policy is never changed, and a changed file is another one. Held, so that no other
# can come to have its identity.
_packed: OrderedDict[int, tuple[Policy, bytes]] = OrderedDict()


def pack_policy(policy: Policy) -> bytes:
    """Return a policy as bytes for :func:`unpack_policy`."""
    with _lock:
        found = _packed.get(id(policy))
        if found is not None and found[0] is policy:
            _packed.move_to_end(id(policy))
            return found[1]
    data = pickle.dumps(policy)
    with _lock:
        _packed[id(policy)] = policy, data
        while len(_packed) > _MOST:
            _packed.popitem(last=False)
    return data


@functools.lru_cache(maxsize=_MOST)
def unpack_policy(data: bytes) -> Policy:
    """Return the policy that was packed; only a process that serves us does this."""
    policy: Policy = pickle.loads(data)  # noqa: S301  from whom we serve
    return policy
