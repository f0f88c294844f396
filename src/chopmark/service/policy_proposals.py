"""Policies that somebody proposes for a tenant and another person puts into force; and back again.

What was proposed lies in ``home/policies/proposals``, what is in force in ``home/policies``, each
version in a file of its own, so that an earlier one can be proposed again. The log books who
proposed, who agreed and why; that another policy judges is booked by whoever judges with it.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from chopmark.audit import Event
from chopmark.errors import InvalidRequest, NotPermitted, RecordNotFound
from chopmark.kit.files import write_private
from chopmark.kit.ids import new_record_id
from chopmark.service.workbench import policy_text
from chopmark.tenancy import Tenant

if TYPE_CHECKING:
    from chopmark.service.caller import Caller
    from chopmark.service.service import Service

__all__ = ["PolicyProposals", "Proposal"]

_ROLES: Final = frozenset({"investigator", "operator"})
_AGREEING: Final = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A policy that somebody wants in force for a tenant.

    Attributes:
        proposal_id: 32 hex digits.
        tenant: Whose policy.
        text: The policy, YAML.
        digest: Of the policy.
        reason: Why.
        asked_by: Who proposed it; empty for what was in force before the first proposal.
        asked_at: Unix time in seconds.
        agreed_by: Who put it into force; None while it waits.
        agreed_at: When; None while it waits.
    """

    proposal_id: str
    tenant: str
    text: str
    digest: str
    reason: str
    asked_by: str
    asked_at: float
    agreed_by: str | None = None
    agreed_at: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the members for JSON."""
        members = asdict(self)
        return {"id": members.pop("proposal_id"), "yaml": members.pop("text"), **members}


class PolicyProposals:
    """The proposals of a caller's tenant, or of all. Every method runs in a thread.

    Args:
        service: Whose policies and tenants.
        caller: An operator or an investigator.

    Raises:
        NotPermitted: The caller is neither.
    """

    def __init__(self, service: Service, caller: Caller) -> None:
        if not caller.roles & _ROLES:
            raise NotPermitted(
                "this takes one of the roles operator, investigator",
                hint="ask the deployer for the role",
            )
        self._service, self._caller = service, caller
        self._folder = service.pipeline.parts.home / "policies"

    def all(self) -> list[Proposal]:
        """Return what was proposed, the newest first."""
        found = [
            Proposal(**json.loads(path.read_text(encoding="utf-8")))
            for path in (self._folder / "proposals").glob("*.json")
        ]
        mine = [one for one in found if self._caller.sees(one.tenant)]
        return sorted(mine, key=lambda one: one.asked_at, reverse=True)

    def propose(self, text: str, *, reason: str, tenant: str | None = None) -> Proposal:
        """Propose a policy; nothing changes before another person agrees.

        Args:
            text: The policy, YAML.
            reason: Why.
            tenant: Whose; None is the caller's own.

        Raises:
            InvalidPolicy: It cannot be used.
            InvalidRequest: No reason.
            TenantNotFound: No such tenant.
            NotPermitted: It is another tenant's.
        """
        from chopmark.safety.policy.load import policy_from_text

        if not reason.strip():
            raise InvalidRequest("a proposal needs a reason", param="reason")
        name = tenant or self._caller.tenant.name
        if not self._caller.sees(name):
            raise NotPermitted("you change the policy of your own tenant only")
        self._service.store.tenant(name)
        proposal = Proposal(
            proposal_id=secrets.token_hex(16),
            tenant=name,
            text=text,
            digest=policy_from_text(text, source="what was proposed").digest(),
            reason=reason.strip(),
            asked_by=self._caller.name,
            asked_at=time.time(),
        )
        self._keep(proposal)
        return proposal

    def agree(self, proposal_id: str) -> Proposal:
        """Put into force what somebody else proposed; the next request is judged by it.

        Raises:
            RecordNotFound: No such proposal, or another tenant's.
            InvalidRequest: It was agreed to already.
            NotPermitted: It is the caller's own.
        """
        with _AGREEING:
            found = [one for one in self.all() if one.proposal_id == proposal_id]
            if not found:
                raise RecordNotFound(f"no proposal {proposal_id[:32]}")
            proposal = found[0]
            if proposal.agreed_by is not None:
                raise InvalidRequest("this proposal is in force already, or was")
            if proposal.asked_by == self._caller.name:
                raise NotPermitted("this takes two different persons")
            self._remember_first(proposal)
            agreed = replace(proposal, agreed_by=self._caller.name, agreed_at=time.time())
            self._book(agreed)
            path = self._folder / f"{proposal.tenant}-{proposal.digest[:12]}.yaml"
            write_private(path, proposal.text.encode())
            self._service.store.set_tenant(Tenant(name=proposal.tenant, policy=str(path)))
            self._keep(agreed)
        return agreed

    def shadow(self, text: str | None, *, reason: str) -> str | None:
        """Judge a policy beside the ones in force from now on, or stop; only the log hears of it.

        Args:
            text: The policy, YAML; None stops.
            reason: Why.

        Returns:
            The policy's digest; None where there is none now.

        Raises:
            NotPermitted: It takes an operator of every tenant.
            InvalidPolicy: It cannot be used.
            InvalidRequest: No reason, or the deployer has set a shadow policy.
        """
        from chopmark.safety.policy.load import policy_from_text

        self._caller.must_be("operator", of_every_tenant=True)
        if not reason.strip():
            raise InvalidRequest("this needs a reason", param="reason")
        if self._service.pipeline.settings.shadow_policy is not None:
            raise InvalidRequest(
                "the deployer has set a shadow policy", hint="it stands in CHOPMARK_SHADOW_POLICY"
            )
        path = self._folder / "shadow.yaml"
        digest = None
        if text is not None:
            digest = policy_from_text(text, source="the shadow policy").digest()
        self._service.pipeline.parts.log.append(
            Event(
                kind="policy.adopted",
                record_id=new_record_id(),
                tenant=self._caller.tenant.name,
                public={"policy": digest, "shadow": True},
                private={"by": self._caller.name, "reason": reason.strip()},
            )
        )
        if text is None:
            path.unlink(missing_ok=True)
        else:
            write_private(path, text.encode())
        return digest

    def _remember_first(self, proposal: Proposal) -> None:
        """Keep what is in force before the first change as a version to go back to."""
        if any(one.tenant == proposal.tenant and one.agreed_by for one in self.all()):
            return
        policy = self._service.policy_of(self._service.store.tenant(proposal.tenant))
        text = policy_text(policy)
        self._keep(
            Proposal(
                proposal_id=secrets.token_hex(16),
                tenant=proposal.tenant,
                text=text,
                digest=policy.digest(),
                reason="in force before the first proposal",
                asked_by="",
                asked_at=proposal.asked_at - 1,
                agreed_by="",
                agreed_at=proposal.asked_at - 1,
            )
        )

    def _book(self, agreed: Proposal) -> None:
        self._service.pipeline.parts.log.append(
            Event(
                kind="policy.adopted",
                record_id=new_record_id(),
                tenant=agreed.tenant,
                public={"policy": agreed.digest},
                private={
                    "by": agreed.asked_by,
                    "second": agreed.agreed_by,
                    "reason": agreed.reason,
                },
            )
        )

    def _keep(self, proposal: Proposal) -> None:
        write_private(
            self._folder / "proposals" / f"{proposal.proposal_id}.json",
            json.dumps(asdict(proposal)).encode(),
        )
