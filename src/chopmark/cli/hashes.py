"""``chopmark hashes``: lists that pictures are matched with."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chopmark.cli.generate import read
from chopmark.cli.output import EXIT_REFUSED, emit, progress_bar
from chopmark.errors import ConfigurationError, HashListError, InvalidRequest

if TYPE_CHECKING:
    from chopmark.kit.types import JsonValue
    from chopmark.safety.hashes.formats import Format, Imported

__all__ = ["app"]

app = typer.Typer(help="Hash lists that pictures are matched with.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]
Lists = Annotated[
    Path | None, typer.Option("--lists", help="Folder of the lists; else CHOPMARK_HASH_LISTS.")
]
Kind = Annotated[
    str | None,
    typer.Option("--kind", help="csv, threatexchange, ncmec or stopncii; else guessed from it."),
]
Category = Annotated[str | None, typer.Option("--category", help="Category of every entry.")]


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV, ThreatExchange, NCMEC v2 or StopNCII.")],
    lists: Lists = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the list.")] = None,
    category: Category = None,
    kind: Kind = None,
    as_json: Json = False,
) -> None:
    """Add a file to a list: new entries come in, retracted ones go out."""
    from chopmark.safety.hashes.formats import import_list

    page = import_list(file, kind=_kind(kind), category=category)
    _report(_take(_folder(lists), name or file.stem, [page], source=file.name), as_json=as_json)


@app.command("sync")
def sync(
    name: Annotated[str, typer.Argument(help="Name of the list here.")],
    url: Annotated[str, typer.Argument(help="Address of its first page.")],
    lists: Lists = None,
    kind: Kind = None,
    category: Category = None,
    header: Annotated[
        list[str] | None,
        typer.Option("--header", help="`Name: value`; $VARIABLE in it is read from there."),
    ] = None,
    token_parameter: Annotated[
        str, typer.Option(help="Parameter that carries a next page's token (StopNCII).")
    ] = "nextPageToken",  # noqa: S107 - the name of a parameter
    as_json: Json = False,
) -> None:
    """Fetch a list page by page from its service and take it in at once."""
    from chopmark.safety.hashes.remote import pages

    headers = {}
    for line in header or ():
        key, colon, value = line.partition(":")
        if not colon or not key.strip():
            raise InvalidRequest(f"{key[:40]!r} is no header", hint='--header "Name: value"')
        headers[key.strip()] = os.path.expandvars(value.strip())
    folder = _folder(lists)
    got: list[Imported] = []
    with progress_bar(quiet=as_json) as progress:
        for page in pages(
            url,
            kind=_kind(kind),
            category=category,
            headers=headers,
            token_parameter=token_parameter,
        ):
            got.append(page)
            if progress is not None:
                progress(len(got), len(got) + bool(page.next_page), "fetching pages")
    # An address may carry a key in its query: only where it lies is kept.
    _report(_take(folder, name, got, source=url.partition("?")[0]), as_json=as_json)


@app.command("enable")
def enable(name: Annotated[str, typer.Argument(help="A list.")], lists: Lists = None) -> None:
    """Switch a list on; guards that run follow within a second."""
    _switch(_folder(lists), name, on=True)


@app.command("disable")
def disable(name: Annotated[str, typer.Argument(help="A list.")], lists: Lists = None) -> None:
    """Switch a list off; it stays where it is."""
    _switch(_folder(lists), name, on=False)


@app.command("compile")
def compile_(
    name: Annotated[str, typer.Argument(help="A list.")], lists: Lists = None, as_json: Json = False
) -> None:
    """Make a large CSV list into arrays that are mapped into memory; it takes the CSV's place."""
    from chopmark.safety.hashes.bank import iter_csv
    from chopmark.safety.hashes.compiled import compile_bank

    path = _folder(lists) / f"{_plain(name)}.csv"
    if not path.is_file():
        raise HashListError(f"there is no list {name!r} as CSV", hint="chopmark hashes list")
    count = compile_bank(iter_csv(path), path.with_suffix(".bank"))
    path.rename(path.with_suffix(".csv.compiled"))
    if as_json:
        emit({"list": name, "entries": count})
    else:
        typer.echo(f"{name}: {count} entries compiled; {path.name}.compiled is kept for imports")


@app.command("list")
def list_(lists: Lists = None, as_json: Json = False) -> None:
    """Show the lists: names, versions, sizes, categories; never an entry."""
    from collections import Counter

    from chopmark.safety.hashes.bank import HashBank, test_bank
    from chopmark.safety.hashes.folder import list_paths, open_list
    from chopmark.safety.hashes.state import ListState, read_state

    rows: list[JsonValue] = []
    banks = [(test_bank(), ListState(source="built in"))]
    banks += [(open_list(path), read_state(path)) for path in list_paths(_folder(lists))]  # type: ignore[misc]
    for bank, state in banks:
        if isinstance(bank, HashBank):
            counts: dict[str, JsonValue] = dict(Counter(entry.category for entry in bank.entries))
            size = len(bank.entries)
        else:
            counts, size = dict(bank.categories), len(bank)
        rows.append(
            {
                "list": bank.name,
                "entries": size,
                "enabled": state.enabled,
                "version": state.version,
                "source": state.source,
                "updated": state.updated,
                "categories": counts,
            }
        )
        if not as_json:
            shown = ", ".join(f"{name}: {count}" for name, count in counts.items())
            switch = "" if state.enabled else "  (off)"
            typer.echo(f"{bank.name:<24} v{state.version:<4}{size:>9}  {shown}{switch}")
    if as_json:
        emit({"lists": rows})


@app.command("match")
def match(
    file: Annotated[Path, typer.Argument(help="A picture.")],
    lists: Lists = None,
    as_json: Json = False,
) -> None:
    """Look a picture up in every list that is on; exit code 3 when it is on one."""
    from chopmark.safety import decode_views
    from chopmark.safety.hashes.folder import ListFolder
    from chopmark.safety.hashes.perceptual import hash_picture
    from chopmark.settings import load_settings

    folder = lists or load_settings().hash_lists
    if lists is not None and not lists.is_dir():
        raise HashListError(f"{lists} is no folder")
    settings = load_settings()
    views = decode_views(
        read(file), max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels
    )
    # Whatever people can see of it: on white, on black, each frame, a camera's previews.
    hashes = [hash_picture(view) for view in views.pictures]
    banks = ListFolder(folder).banks()
    matches = list(
        dict.fromkeys(match for one in hashes for bank in banks for match in bank.match(one))
    )
    if as_json:
        found: JsonValue = [
            {
                "list": match.bank,
                "kind": match.entry.kind,
                "distance": match.distance,
                "category": match.entry.category,
                "reference": match.entry.reference,
            }
            for match in matches
        ]
        emit({"matches": found, "quality": hashes[0].quality, "missed": views.missed})
    else:
        for one in matches:
            typer.echo(
                f"{one.bank}: {one.entry.category}, {one.entry.kind} distance {one.distance} "
                f"{one.entry.reference}"
            )
        if not matches:
            typer.echo("on no list")
        if views.missed:
            typer.echo(f"not looked at: {views.missed}", err=True)
    if matches:
        raise typer.Exit(EXIT_REFUSED)


def _folder(lists: Path | None) -> Path:
    from chopmark.settings import load_settings

    folder = lists or load_settings().hash_lists
    if folder is None:
        raise ConfigurationError(
            "no folder for hash lists is set", hint="--lists FOLDER or CHOPMARK_HASH_LISTS"
        )
    return folder


def _plain(name: str) -> str:
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise InvalidRequest(f"{name!r} is no name of a list", hint="letters, digits, - _ .")
    return name


def _kind(kind: str | None) -> Format | None:
    from chopmark.safety.hashes.formats import FORMATS

    if kind is None:
        return None
    found = next((name for name in FORMATS if name == kind), None)
    if found is None:
        raise InvalidRequest(f"{kind!r} is no format of a list", hint=", ".join(FORMATS))
    return found


def _take(folder: Path, name: str, pages: list[Imported], *, source: str) -> dict[str, JsonValue]:
    """Apply pages to a list, once all of them are here, and say what came of it."""
    from collections import Counter
    from dataclasses import replace

    from chopmark.safety.hashes.bank import HashBank, read_csv
    from chopmark.safety.hashes.formats import write_csv
    from chopmark.safety.hashes.state import read_state, write_state

    path = folder / f"{_plain(name)}.csv"
    if path.with_suffix(".bank").is_dir():
        raise HashListError(
            f"the list {name!r} is compiled",
            hint=f"rename {path.name}.compiled back, import, compile",
        )
    folder.mkdir(parents=True, exist_ok=True)
    old = read_csv(path) if path.exists() else HashBank(name=name, entries=())
    new, skipped = old, Counter[str]()
    for page in pages:
        new = page.applied_to(new)
        skipped.update(page.skipped or {})
    state = read_state(path)
    if set(new.entries) != set(old.entries) or not path.exists():
        write_csv(replace(new, source=source), path)
        state = replace(state, version=state.version + 1)
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    after = pages[-1].next_page if pages else ""
    write_state(path, replace(state, source=source, updated=now, next_page=after))
    return {
        "list": name,
        "version": state.version,
        "entries": len(new.entries),
        "read": sum(len(page.bank.entries) for page in pages),
        "retracted": sum(len(page.retracted) for page in pages),
        "skipped": dict(skipped),
        "pages": len(pages),
        "next_page": after,
    }


def _report(result: dict[str, JsonValue], *, as_json: bool) -> None:
    if as_json:
        emit(result)
        return
    typer.echo(
        f"{result['list']} v{result['version']}: {result['entries']} entries"
        f" ({result['read']} read)"
    )
    skipped = result["skipped"]
    assert isinstance(skipped, dict)  # noqa: S101  made so above
    for kind, count in skipped.items():
        typer.echo(f"  {count} of the kind {kind} cannot be looked up here")
    if result["next_page"]:
        typer.echo(f"  the list goes on: {result['next_page']}")


def _switch(folder: Path, name: str, *, on: bool) -> None:
    from dataclasses import replace

    from chopmark.safety.hashes.folder import list_paths
    from chopmark.safety.hashes.state import read_state, write_state

    path = next((path for path in list_paths(folder) if path.stem == name), None)
    if path is None:
        raise HashListError(f"there is no list {name!r}", hint="chopmark hashes list")
    write_state(path, replace(read_state(path), enabled=on))
    typer.echo(f"{name}: {'on' if on else 'off'}")
