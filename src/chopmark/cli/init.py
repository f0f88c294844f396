"""``chopmark init``: from nothing to a home that works, with five answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from chopmark.cli.output import emit, progress_bar
from chopmark.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chopmark.kit.types import JsonValue, Progress
    from chopmark.settings import Settings

__all__ = ["init"]

#: What the first person may do; everything but to erase, to export and to unseal.
_ROLES: Final = ("auditor", "creator", "operator", "reader", "reviewer")


def init(
    home: Annotated[
        Path | None, typer.Option(help="Folder of all state; the one in force if not given.")
    ] = None,
    policy: Annotated[
        str | None, typer.Option(help="Safety policy: `default`, `strict` or a YAML file.")
    ] = None,
    person: Annotated[
        str | None, typer.Option(help="Name of the first person who signs in; empty for nobody.")
    ] = None,
    public_url: Annotated[
        str | None, typer.Option(help="Address under which people reach the server, if any.")
    ] = None,
    signing_cert: Annotated[
        str | None,
        typer.Option(help="PEM chain of your signing certificate; empty: a development one."),
    ] = None,
    signing_key: Annotated[
        str | None, typer.Option(help="Its PEM key; asked for with --signing-cert.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings file to write; `chopmark.toml` in the home.")
    ] = None,
    model: Annotated[
        bool, typer.Option("--model/--no-model", help="Unpack the model now, not at first use.")
    ] = True,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing: what was not given stays as it is.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object; asks nothing.")] = False,
) -> None:
    """Write the settings file, make keys, the first person and the log. Overwrites nothing.

    Asks five things; each has a flag. Run again, it makes what is missing.
    """
    from chopmark.settings import load_settings

    asks = sys.stdin.isatty() and not (yes or as_json)
    before = load_settings(home=home)
    # A folder is asked for first: what holds there already is what the other answers begin with.
    home = Path(_answer("Folder of all state", home, before.home, asks=asks)).expanduser()
    now = load_settings(home=home.absolute())
    answers: dict[str, Any] = {
        "policy": _answer(
            "Safety policy (default, strict or a YAML file)", policy, now.policy, asks=asks
        ),
        "public_url": _answer(
            "Address for others (empty: this machine alone)", public_url, now.public_url, asks=asks
        ),
        "signing_cert": _answer(
            "Signing certificate, a PEM file (empty: a development certificate)",
            signing_cert, now.signing_cert or "", asks=asks,
        ),
    }  # fmt: skip
    own = bool(answers["signing_cert"])
    answers["signing_key"] = (
        _answer("Its private key, a PEM file", signing_key, now.signing_key or "", asks=asks)
        if own
        else (signing_key or "")
    )
    name = _answer("Name of the first person who signs in (empty: nobody)", person, "", asks=asks)
    for one in ("policy", "signing_cert", "signing_key"):
        # The file is read from any folder.
        if answers[one] and (path := Path(answers[one]).expanduser()).is_file():
            answers[one] = str(path.absolute())
    # An empty path is none.
    held = {key: value for key, value in answers.items() if value or key == "public_url"}
    settings = load_settings(home=home.absolute(), **held)
    with progress_bar(quiet=as_json) as progress:
        done = _make(settings, answers, name, config, progress, with_model=model)
    if as_json:
        emit(done)
    else:
        _tell(done)


def _answer(question: str, given: object, default: object, *, asks: bool) -> str:
    if given is not None:
        return str(given)
    if not asks:
        return str(default)
    return str(typer.prompt(question, default=str(default), err=True))


def _make(
    settings: Settings,
    answers: Mapping[str, Any],
    name: str,
    config: Path | None,
    progress: Progress | None,
    *,
    with_model: bool,
) -> dict[str, JsonValue]:
    from chopmark.pipeline.late_model import late_generator
    from chopmark.pipeline.parts import Parts
    from chopmark.settings.file import FILE_NAME

    home = settings.home
    # Before anything is made: a policy, a certificate or a file that cannot be used.
    policy = _policy(settings)
    file = (config or home / FILE_NAME).expanduser().absolute()
    lines = {key: value for key, value in answers.items() if value != _as_it_comes(key)}
    if file.parent != home:
        lines["home"] = str(home)
    missing = not _stands(file, {**answers, **lines})
    if missing and file.parent != home and not file.parent.is_dir():
        raise ConfigurationError(
            f"there is no folder {file.parent}", hint=f"mkdir -p {file.parent}"
        )
    parts = Parts(settings, progress=progress)
    try:
        parts.credential.check()
        parts.announce_keys()
        keys: dict[str, JsonValue] = {
            "signing": parts.credential.fingerprint,
            "development": parts.credential.is_development,
            "watermark": parts.mark_keys.active.key_id,
            "log": parts.log.public_key,
        }
        made = _person(settings, name) if name else None
        drawn = None
        if with_model and not settings.workers:
            info = late_generator(parts, progress).info
            drawn = f"{info.id}@{info.version}"
    finally:
        parts.close()
    if missing:
        _write(file, lines)
    return {
        "home": str(home), "config": str(file), "written": missing, "policy": policy,
        "keys": keys, "person": made, "model": drawn, "next": [*_next(settings, file)],
    }  # fmt: skip


def _as_it_comes(name: str) -> object:
    from chopmark.settings import Settings

    default = Settings.model_fields[name].default
    return "" if default is None else default


def _policy(settings: Settings) -> dict[str, JsonValue]:
    from chopmark.safety import load_policy

    policy = load_policy(settings.policy)
    return {"name": policy.name, "digest": policy.digest()}


def _stands(file: Path, wanted: Mapping[str, object]) -> bool:
    """Whether the file is there and says the same already.

    Raises:
        ConfigurationError: It says something else, and is not overwritten.
    """
    from chopmark.settings import Settings
    from chopmark.settings.file import read_file

    if not file.exists():
        return False
    said = read_file(file, Settings.model_fields).values
    for name, value in wanted.items():
        if str(said.get(name, _as_it_comes(name))) != str(value):
            there = f"says {name} = {said[name]!r}" if name in said else f"does not say {name}"
            raise ConfigurationError(
                f"{file} is there already and {there}; it is not overwritten",
                hint=f"put `{_line(name, value)}` into it, or `mv {file} {file}.old` and run again",
            )
    return True


def _line(name: str, value: object) -> str:
    # A JSON string is a TOML string.
    return f"{name} = {json.dumps(str(value), ensure_ascii=False)}"


def _write(file: Path, lines: Mapping[str, object]) -> None:
    from chopmark.kit.files import write_private

    head = (
        "# Written by `chopmark init`. Every setting: docs/settings.md, `chopmark settings show`."
    )
    text = "\n".join([head, *(_line(name, value) for name, value in sorted(lines.items())), ""])
    write_private(file, text.encode())


def _person(settings: Settings, name: str) -> dict[str, JsonValue]:
    """Make the person, unless they are there: their roles are not touched then."""
    from chopmark.cli.people import address_of
    from chopmark.tenancy import AccessStore, People, Tenant

    home = settings.open_home()
    with People.open(home, database=settings.database) as people:
        there = {one.name: one for one in people.everybody()}.get(name)
        if there is not None:
            return {"name": name, "roles": [*sorted(there.roles)], "made": False, "link": None}
        with AccessStore.open(home, database=settings.database) as store:
            if all(tenant.name != "default" for tenant in store.tenants()):
                store.set_tenant(Tenant(name="default"))
        people.add(name, roles=list(_ROLES), tenant="default", password=None)
        link = address_of(settings, people.link(name, lasts_s=24 * 3600))
    return {"name": name, "roles": [*_ROLES], "made": True, "link": link}


def _next(settings: Settings, file: Path) -> list[str]:
    """Return the commands that follow, to be typed as they are."""
    from chopmark.settings import settings_file

    found, said = settings_file(), []
    if found is None or found.path != file:
        inside = file.parent == settings.home
        said = [
            f"export CHOPMARK_HOME={settings.home}" if inside else f"export CHOPMARK_CONFIG={file}"
        ]
    return [*said, 'chopmark generate "a red apple" -o apple.png', "chopmark verify apple.png",
            "chopmark serve"]  # fmt: skip


def _tell(done: Mapping[str, Any]) -> None:
    keys, person = done["keys"], done["person"]
    kind = "development certificate" if keys["development"] else "certificate"
    typer.echo(f"settings  {done['config']}{'' if done['written'] else ', as it was'}")
    typer.echo(f"home      {done['home']}")
    typer.echo(f"policy    {done['policy']['name']}, digest {done['policy']['digest'][:12]}")
    typer.echo(f"keys      {kind} {keys['signing'][:16]}, watermark {keys['watermark']}")
    if person is not None:
        again = f"there already; `chopmark access person link {person['name']}` makes a new link"
        typer.echo(f"person    {person['name']}: {person['link'] or again}")
    if done["model"] is not None:
        typer.echo(f"model     {done['model']}")
    typer.echo("next:")
    for command in done["next"]:
        typer.echo(f"  {command}")
