"""Which policy judges whose requests, and that it is booked when it becomes another.

There are three sources, and one answer for each tenant:

1. the tenant's own policy, where the operator gave it one (``chopmark access create --policy``);
2. else the deployment's policy (``CHOPMARK_POLICY``) with the tenant's override
   (``TENANT.yaml`` in ``CHOPMARK_TENANT_POLICIES``);
3. else the deployment's policy.

A changed file is in force at the next request. A file that cannot be used stops those whom it
concerns: nothing is judged by an older version, or without it.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chopmark.errors import InvalidPolicy
from chopmark.kit.file_cache import FileCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.plugins.protocols import RequestLog
    from chopmark.safety import Policy
    from chopmark.safety.policy.schema import PolicyOverride

__all__ = ["PolicyBook"]

_LOG = logging.getLogger(__name__)
_MOST_TENANTS: Final = 10_000


class PolicyBook:
    """Resolves policies; may be asked from several threads.

    Args:
        active: The deployment's policy: ``default``, ``strict`` or a YAML file.
        log: Gives the log that takes which policy is in force.
        overrides: Folder of the tenants' overrides, if there is one.
        shadow: The policy that is judged beside the active one and only logged, if there is one.
        shadow_file: Where the desk puts one while the server runs; the setting comes first.
    """

    def __init__(
        self,
        active: str,
        *,
        log: Callable[[], RequestLog],
        overrides: Path | None = None,
        shadow: str | None = None,
        shadow_file: Path | None = None,
    ) -> None:
        self._active = active
        self._shadow, self._shadow_file = shadow, shadow_file
        self._folder = None if overrides is None else overrides.expanduser()
        self._log = log
        self._policies = FileCache(_read_policy)
        self._overrides = FileCache(_read_override)
        self._lock = threading.Lock()
        # By tenant: the policy and the override that its own was merged from, and the result.
        self._merged: dict[str, tuple[Policy, PolicyOverride, Policy]] = {}
        # By tenant (None is the deployment): digest of what was booked last.
        self._booked: dict[str | None, str] = {}

    def active(self) -> Policy:
        """Return the deployment's policy.

        Raises:
            InvalidPolicy: Its file cannot be used.
            LogUnavailable: It is another than before, and that cannot be booked.
        """
        policy = self._policies.get(self._active)
        self._book(None, policy, source=self._active)
        return policy

    def for_tenant(self, tenant: str, *, policy: str | None = None) -> Policy:
        """Return the policy that a tenant's requests are judged by.

        Args:
            tenant: Its name; it may come from a request, and is no path.
            policy: The tenant's own policy, where it has one: a built-in name or a YAML file.

        Raises:
            InvalidPolicy: The policy or the override cannot be used; nothing is judged by another.
            LogUnavailable: It is another than before, and that cannot be booked.
        """
        if policy is not None:
            own = self._policies.get(policy)
            self._book(tenant, own, source=policy)
            return own
        base, file = self.active(), self._override_of(tenant)
        if file is None:
            self._book(tenant, base, source=self._active, own=False)
            return base
        merged = self._merge(tenant, base, self._overrides.get(str(file)))
        self._book(tenant, merged, source=str(file))
        return merged

    @property
    def has_shadow(self) -> bool:
        """Whether a policy is judged beside the active one."""
        return self._shadow_name() is not None

    def shadow(self) -> Policy | None:
        """Return the policy that is judged beside the active one and only logged, if one is set.

        Raises:
            InvalidPolicy: Its file cannot be used.
        """
        name = self._shadow_name()
        return None if name is None else self._policies.get(name)

    def _shadow_name(self) -> str | None:
        if self._shadow is not None or self._shadow_file is None:
            return self._shadow
        return str(self._shadow_file) if self._shadow_file.is_file() else None

    def _override_of(self, tenant: str) -> Path | None:
        # The name comes with the request: only a plain file name is looked for.
        if self._folder is None or not tenant or Path(tenant).name != tenant or tenant[0] == ".":
            return None
        file = self._folder / f"{tenant}.yaml"
        try:
            file.stat()
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise InvalidPolicy(f"the override of tenant {tenant!r} cannot be read") from error
        return file

    def _merge(self, tenant: str, base: Policy, override: PolicyOverride) -> Policy:
        from chopmark.safety.policy.override import apply_override

        with self._lock:
            kept = self._merged.get(tenant)
            if kept is None or kept[0] is not base or kept[1] is not override:
                kept = self._merged[tenant] = base, override, apply_override(base, override)
            return kept[2]

    def _book(self, tenant: str | None, policy: Policy, *, source: str, own: bool = True) -> None:
        """Book that a policy is in force, unless that is what was booked last.

        Of a tenant that never had another policy than the deployment's (``own`` is false), nothing
        is booked; one that had is booked when it comes back to the deployment's.
        """
        digest = policy.digest()
        with self._lock:
            if self._booked.get(tenant) == digest:
                return
        log = self._log()
        if tenant is None:
            changed = log.in_force("policy.changed", digest)
        else:
            changed = log.in_force("policy.changed", digest, tenant=tenant, only_again=not own)
        _LOG.debug(
            "policy %s %s of %s, digest %s, from %s%s",
            policy.name, policy.version, "the deployment" if tenant is None else f"tenant {tenant}",
            digest[:12], source, ", logged as changed" if changed else "",
        )  # fmt: skip
        with self._lock:
            if len(self._booked) >= _MOST_TENANTS:
                self._booked.clear()  # the log still knows; it is asked again
            self._booked[tenant] = digest


def _read_policy(name: str) -> Policy:
    from chopmark.safety import load_policy
    from chopmark.safety.policy_tools import doubts

    policy = load_policy(name)
    for doubt in doubts(policy):  # a plugin's category, or a misspelling that judges nothing
        _LOG.warning("policy %s: %s", name, doubt)
    return policy


def _read_override(name: str) -> PolicyOverride:
    from chopmark.safety.policy.override import load_override

    return load_override(Path(name))
