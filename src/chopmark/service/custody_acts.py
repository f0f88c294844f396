"""What two persons agreed to is done, for both faces: erasing, holds, seals, reports."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from chopmark.errors import InvalidRequest

if TYPE_CHECKING:
    from chopmark.audit import Actor, Desk, Record
    from chopmark.audit.desk.cybertip_xml import CyberTipReporter
    from chopmark.service.caller import Caller
    from chopmark.service.deployment import Deployment
    from chopmark.service.service import Service
    from chopmark.service.two_persons import ActRequest
    from chopmark.settings import Settings

__all__ = ["agree_to", "reporter_of"]


def reporter_of(settings: Settings) -> CyberTipReporter:
    """Return who reports to the CyberTipline.

    Raises:
        InvalidRequest: The deployer did not say.
        ConfigurationError: The file cannot be used.
    """
    from chopmark.audit.desk.cybertip_xml import load_reporter

    if settings.cybertip is None:
        raise InvalidRequest(
            "nobody is named who reports to the CyberTipline",
            hint="the deployer does in the file of CHOPMARK_CYBERTIP",
        )
    return load_reporter(settings.cybertip)


def agree_to(deployment: Deployment, caller: Caller, request_id: str) -> Record:
    """Do what somebody asked for, as the second person; it is booked with both names.

    Raises:
        NotPermitted: The caller asked for it, may not do it, or whoever asked may not any more.
        RecordNotFound: No such request, or nothing of what it names.
        ErasureRefused: A hold stands, or the subject is not this tenant's alone.
    """
    service = deployment.service
    request, first, second = service.two_persons.agreed(caller, request_id, deployment.identity)
    desk = service.pipeline.parts.log.desk(first, purpose=request.reason)
    match request.act:
        case "erase":
            return _erase(service, desk, request, second)
        case "release_hold":
            return desk.release_hold(int(request.of), reason=request.reason, second=second)
        case "cybertip":
            return desk.cybertips.release(
                request.of,
                reporter_of(service.pipeline.settings),
                second=second,
                reason=request.reason,
                prompt=request.prompt,
            )
        case "unseal":
            duration = timedelta(hours=request.hours)
            return desk.unseal(request.of, second=second, reason=request.reason, duration=duration)


def _erase(service: Service, desk: Desk, request: ActRequest, second: Actor) -> Record:
    from chopmark.pipeline.erase_prompts import forget_person

    record = desk.erase(request.of, second=second, reason=request.reason)
    forget_person(service.pipeline.parts.home, request.of)
    return record
