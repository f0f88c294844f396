"""What one server is made of: the service, and everybody whom it lets in.

The API and the pages stand side by side over one of these, so that a session, a quota or a turn
counts for both.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final, Self

from fastapi import Depends, Request

from chopmark.pipeline.steps import in_thread
from chopmark.service.access import Callers
from chopmark.service.body_budget import Bodies
from chopmark.service.clock import repeating
from chopmark.service.coop import CoopServer, load_coop
from chopmark.service.desk_worker import DeskWorker
from chopmark.service.forgetting import follow_the_log
from chopmark.service.identity import Identity
from chopmark.service.service import Service
from chopmark.service.state import state_of
from chopmark.tenancy import AccessStore, People
from chopmark.tenancy.batches import Batches
from chopmark.tenancy.files import FileStore
from chopmark.tenancy.rates import Rates
from chopmark.tenancy.replays import BEAT_S, Replays
from chopmark.tenancy.states import open_shared_state
from chopmark.tenancy.turns import Turns
from chopmark.tenancy.webhooks import Webhooks

if TYPE_CHECKING:
    from chopmark.pipeline import Pipeline
    from chopmark.settings import Settings
    from chopmark.tenancy.shared_state import SharedState

__all__ = ["Deployment", "TheDeployment", "TheIdentity", "TheService"]

_MOST_SIGNING_IN: Final = 16


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """Everything that the faces of one server share.

    Attributes:
        service: Reaches the pipeline.
        identity: Keys, people and their sessions.
        callers: Finds out who sent a request.
        replays: Answers that are kept for an ``Idempotency-Key``.
        files: What tenants handed over, and what was made for them to fetch.
        batches: Requests that were handed over many at once.
        webhooks: Whom tenants want told.
        coop: The Coop server that works on a tenant's tasks as well, if there is one.
        desk_worker: Sends records to queues, and messages to webhooks, while a server runs.
        appeal_rates: How often somebody without an account is wrong about an appeal.
        state: What servers count together.
        sign_in_turns: A password takes a tenth of a second and 64 MiB to check, so that one is
            checked at a time and some may wait.
        bodies: Request bodies that are held in memory.
        clocks: What is done again and again until the server stops.
    """

    service: Service
    identity: Identity
    callers: Callers
    replays: Replays
    files: FileStore
    batches: Batches
    webhooks: Webhooks
    coop: CoopServer | None
    desk_worker: DeskWorker
    appeal_rates: Rates
    state: SharedState
    sign_in_turns: Turns
    bodies: Bodies
    clocks: ExitStack = field(default_factory=ExitStack)

    @classmethod
    def open(cls, pipeline: Pipeline) -> Self:
        """Open what stands beside the pipeline in its home folder.

        Raises:
            ConfigurationError: The files of keys and people, or a setting, cannot be used.
        """
        settings, home = pipeline.settings, pipeline.parts.home
        state = open_shared_state(home, settings)
        store = AccessStore.open(home, database=settings.database)
        people = People.open(
            home,
            idle_s=60 * settings.session_idle_minutes,
            longest_s=3600 * settings.session_hours,
            database=settings.database,
            state=state,
        )
        identity = Identity(settings, store, people)
        coop = None if settings.coop is None else load_coop(settings.coop)
        replays = Replays.open(home, database=settings.database)
        files = FileStore.open(home, database=settings.database)
        follow_the_log(pipeline.parts, replays, files)
        webhooks = Webhooks.open(home, database=settings.database)
        clocks = ExitStack()
        if settings.database:
            name = "telling other servers that this one is there"
            clocks.enter_context(repeating(replays.beat, every_s=BEAT_S, name=name))
        return cls(
            service=Service(pipeline, store, people, state),
            identity=identity,
            callers=Callers(identity=identity, settings=settings, state=state),
            replays=replays,
            files=files,
            batches=Batches(files.database),
            webhooks=webhooks,
            coop=coop,
            desk_worker=DeskWorker(pipeline, webhooks, coop=coop),
            appeal_rates=Rates(state, "appeals"),
            state=state,
            sign_in_turns=Turns(slots=1, places=_MOST_SIGNING_IN),
            bodies=Bodies(settings.max_body_bytes_held),
            clocks=clocks,
        )

    @property
    def settings(self) -> Settings:
        """The pipeline's settings."""
        return self.service.pipeline.settings

    def is_erased(self, record_id: str) -> bool:
        """Tell whether something that was asked for in a record is erased by now."""
        log = self.service.pipeline.parts.request_log
        return bool(log.custody.contentless([record_id]))

    async def close(self) -> None:
        """Wait for what is on its way, then close the files."""
        await self.service.drained()
        await in_thread(self.clocks.close)
        await in_thread(self.desk_worker.stop)
        self.webhooks.close()
        self.service.store.close()
        self.identity.people.close()
        self.replays.close()
        self.files.close()
        self.state.close()


def the_deployment(request: Request) -> Deployment:
    """Return what the application of a request was made over."""
    return state_of(request.app, Deployment)


def the_service(request: Request) -> Service:
    """Return the service of a request's application."""
    return the_deployment(request).service


def the_identity(request: Request) -> Identity:
    """Return the people of a request's application."""
    return the_deployment(request).identity


TheDeployment = Annotated[Deployment, Depends(the_deployment)]
TheIdentity = Annotated[Identity, Depends(the_identity)]
TheService = Annotated[Service, Depends(the_service)]
