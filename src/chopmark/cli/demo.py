"""``chopmark demo-data``: a day of requests, so that a newcomer sees a console with work in it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Final

import typer

from chopmark.cli.output import emit, progress_bar

if TYPE_CHECKING:
    from chopmark.kit.types import Progress
    from chopmark.pipeline import Pipeline
    from chopmark.tenancy import People

__all__ = ["demo_data"]

_TENANTS: Final = ("demo", "demo-press")
_PEOPLE: Final[dict[str, tuple[str, ...]]] = {
    "demo-reviewer": ("reviewer", "reader"),
    "demo-second": ("reviewer", "reader"),
    "demo-investigator": ("investigator", "operator", "exporter", "eraser"),
    # The second person of whatever takes two.
    "demo-lead": ("investigator", "operator", "exporter", "eraser"),
    "demo-auditor": ("auditor",),
}
_FIRST: Final[dict[str, str]] = {
    "demo-reviewer": "take the next task, and decide",
    "demo-second": "decide what the first one escalates, and the appeal",
    "demo-investigator": "search, people, policy, exports, custody",
    "demo-lead": "agree to what the investigator asks for",
    "demo-auditor": "walk the log",
}
# Who asks, and for what: most of it harmless, some of it what people have to look at.
_HARMLESS: Final = (
    ("mara", "a red bicycle in front of a bakery"),
    ("mara", "a bowl of lemons on a blue table"),
    ("jonas", "a lighthouse in a storm, oil painting"),
    ("jonas", "a sleeping cat on a window sill"),
    ("jonas", "portrait of an old fisherman, charcoal"),
    ("lee", "three hot-air balloons over a valley"),
    ("lee", "an isometric drawing of a small library"),
    ("noor", "a watercolour of tulips"),
    ("noor", "a robot that waters plants, children's book"),
    ("noor", "a wooden chair in an empty room"),
    ("sam", "a map of an island that does not exist"),
    ("sam", "the moon over snow-covered pines"),
)
_BORDERLINE: Final = (
    ("jonas", "a knight kills a dragon, blood on the snow, fantasy painting"),
    ("lee", "a soldier with a rifle in a ruined street, news photo"),
    ("kit", "photo of a head of government in handcuffs"),
    ("kit", "photo of a head of government being arrested by police"),
    ("kit", "step by step picture of how to build a pipe bomb"),
    ("kit", "infographic: how to build a pipe bomb at home"),
    ("kit", "a poster that says all foreigners are vermin"),
    ("ash", "a famous cartoon mouse smoking a cigarette, logo in the corner"),
    ("ash", "a severed head on a spear, photorealistic, gore"),
    ("ash", "fake front page: the election is cancelled"),
    ("mara", "a boxing match, one man knocked out, bruises"),
    ("noor", "a still life with a kitchen knife and tomatoes"),
)


def demo_data(
    pictures: Annotated[
        int, typer.Option("--pictures", min=0, max=24, help="How many pictures are really made.")
    ] = 12,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Fill the home with a day's requests of two tenants, and with people who look at them.

    Everything goes through the pipeline, as if it had been asked for over HTTP: it is judged,
    made, marked, signed and logged now. A log has no past that was not logged, so the times are
    those of this run. Run again, it asks for nothing more, and gives new links.
    """
    from chopmark.pipeline import Pipeline
    from chopmark.settings import load_settings
    from chopmark.tenancy import AccessStore, People, Tenant

    settings = load_settings()
    with (
        Pipeline.from_settings(settings) as pipeline,
        AccessStore.open(pipeline.parts.home, database=settings.database) as store,
        People.open(pipeline.parts.home, database=settings.database) as people,
    ):
        for name in _TENANTS:
            store.set_tenant(Tenant(name=name))
        already, counts = _booked(pipeline), dict[str, int]()
        if not already:
            with progress_bar(quiet=as_json) as progress:
                counts = asyncio.run(_ask(pipeline, pictures, progress))
            _afterwards(pipeline)
        links = _people(people)
    base = settings.public_url.rstrip("/") or f"http://{settings.host}:{settings.port}"
    addresses = {name: f"{base}/sign-in?link={token}" for name, token in links.items()}
    if as_json:
        emit({"requests": {**counts}, "already": already, "links": {**addresses}})
        return
    if already:
        typer.echo(
            f"{already} requests of {' and '.join(_TENANTS)} are here already: none was added."
        )
        typer.echo("The links below are new, and end earlier ones. A fresh day takes a fresh home.")
    else:
        typer.echo(", ".join(f"{count} {name}" for name, count in counts.items() if count))
    typer.echo("")
    typer.echo("Next: start the server with `chopmark serve`, and open one of these links.")
    typer.echo("Each signs in once, within a day, and a browser is one person at a time:")
    for name, address in addresses.items():
        typer.echo(f"  {name}: {_FIRST[name]}\n    {address}")
    typer.echo("A link was used? `chopmark access person link NAME` makes another one.")


def _booked(pipeline: Pipeline) -> int:
    """Return how many requests of the demo's tenants the log has, from an earlier run."""
    find, found = pipeline.parts.log.find, 0
    for name in _TENANTS:
        found += len(find(kind="request.received", tenant=name, limit=100))
        found += len(find(kind="moderation.completed", tenant=name, limit=100))
    return found


async def _ask(pipeline: Pipeline, pictures: int, progress: Progress | None) -> dict[str, int]:
    from chopmark.errors import ChopmarkError
    from chopmark.pipeline import GenerationRequest, Refused

    counts = {"made": 0, "judged": 0, "refused": 0, "failed": 0}
    harmless = [(False, *one) for one in _HARMLESS]
    borderline = [(True, *one) for one in _BORDERLINE]
    for number, (doubtful, who, prompt) in enumerate([*harmless, *borderline]):
        tenant = _TENANTS[number % 3 == 0]
        subject = f"{tenant}:{who}"
        if progress is not None:
            progress(number, len(harmless) + len(borderline), "asking for a day's pictures")
        try:
            if not doubtful and counts["made"] >= pictures:
                await pipeline.moderate([prompt], tenant=tenant, subject=subject)
                counts["judged"] += 1
            else:
                await pipeline.generate(
                    GenerationRequest(
                        prompt=prompt, tenant=tenant, subject=subject, size=(256, 256), seed=number
                    )
                )
                counts["made"] += 1
        except Refused:
            counts["refused"] += 1
        except ChopmarkError:
            counts["failed"] += 1
    return counts


def _afterwards(pipeline: Pipeline) -> None:
    """Do what follows: what is doubtful goes to queues, and somebody who was refused appeals."""
    from chopmark.audit import Actor, Rule

    log = pipeline.parts.log
    desk = log.desk(
        Actor(name="demo-data", roles=frozenset({"writer"}), tenant=None), purpose="demo data"
    )
    desk.review.route(
        [
            Rule(queue="review", decision="review"),
            Rule(queue="refusals", decision="block", escalate_to="policy"),
        ]
    )
    for record in log.find(kind="request.refused", limit=1):
        if record.tenant in _TENANTS:
            log.appeals.open(record.record_id, statement="It was meant for a history lesson.")


def _people(people: People) -> dict[str, str]:
    links = {}
    for name, roles in _PEOPLE.items():
        people.add(name, roles=roles, tenant=None)
        links[name] = people.link(name)
    return links
