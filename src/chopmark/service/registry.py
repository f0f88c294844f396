"""Everything that leaves a server or stays in its home, and what holds for each.

There is one way for pictures, the pipeline; this table says what else there is beside it. A test
walks it (``tests/functional/test_registry.py``) and fails on a route or a file of the home that no
line of it names, so that a new door is a decision, with its invariants written down.

>>> leaving("POST", "/v1/images/generations").what
'new pictures'
>>> staying("tenancy/replays.db").erased
'with its record'
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ELSEWHERE",
    "LEAVES",
    "STAYS",
    "Elsewhere",
    "Leaves",
    "Stays",
    "leaving",
    "staying",
    "tables_in_markdown",
]

Seen = Literal["anybody", "its tenant", "its person", "the operator"]
Erased = Literal["nothing personal", "with the person", "with its record", "by its owner", "no"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaves:
    """What a family of routes answers with.

    Attributes:
        what: In a few words.
        under: Beginnings of paths; the longest one that fits a path decides.
        methods: Of HTTP; empty for all.
        pictures: How pixels that leave here are marked: ``signed`` (mark, manifest, record),
            ``preview`` (small, under an overlay, logged before), ``returned`` (bytes that had left
            before, and are checked against the log), ``small`` (small copies of what had left and
            is public; not of what was withdrawn), ``held`` (of the log, to whoever may see
            content, blurred), ``no``.
        booked: The kind of entry that is durable before the answer; empty where none is.
        seen: Who gets it.
    """

    what: str
    under: tuple[str, ...]
    methods: frozenset[str] = frozenset()
    pictures: tuple[Literal["signed", "preview", "returned", "small", "held"], ...] = ()
    booked: str = ""
    seen: Seen = "its tenant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stays:
    """What lies in the home folder.

    Attributes:
        what: In a few words.
        files: Regular expressions of paths inside the home, from its beginning to its end.
        erased: How what it holds of a person goes.
        sealed: Nobody reads it without a key that lies elsewhere.
        kept: For how long, in words.
    """

    what: str
    files: tuple[str, ...]
    erased: Erased = "nothing personal"
    sealed: bool = False
    kept: str = "for good"


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """What lies outside the home, where several servers share it.

    Attributes:
        what: In a few words.
        where: The setting that names the server.
        under: Schema or beginning of keys there.
        erased: How what it holds of a person goes.
        kept: For how long, in words.
    """

    what: str
    where: str
    under: str
    erased: Erased
    kept: str


_POST: Final = frozenset({"POST"})

LEAVES: Final[tuple[Leaves, ...]] = (
    Leaves(
        what="new pictures",
        under=("/v1/images", "/v1/models/{model}:", "/v1beta/models/{model}:", "/api/v1/seal",
               "/v1/chat/completions", "/v1/responses", "/v1/interactions",
               "/v1beta/interactions", "/v1/projects", "/v1/publishers",
               "/v1beta1/projects", "/v1beta1/publishers"),
        methods=_POST,
        pictures=("signed", "preview"),
        booked="request.completed, request.previewed",
    ),
    Leaves(what="answers that were given before, by the id that they had",
           under=("/v1/responses", "/v1/interactions", "/v1beta/interactions"),
           methods=frozenset({"GET", "DELETE"}), pictures=("returned",),
           booked="request.completed"),
    Leaves(
        what="new pictures on a page",
        under=("/studio",),
        pictures=("signed", "preview", "returned"),
        booked="request.completed, request.previewed",
        seen="its person",
    ),
    Leaves(what="verdicts on texts and pictures",
           under=("/v1/moderations", "/beta/litellm_basic_guardrail_api"), methods=_POST,
           booked="moderation.completed"),
    Leaves(what="pictures that were held and that a person let out", under=("/api/v1/released",),
           pictures=("signed",), booked="review.decided"),
    Leaves(what="pictures at signed, expiring addresses", under=("/v1/images/content",),
           methods=frozenset({"GET"}), pictures=("returned",), booked="request.completed",
           seen="anybody"),
    Leaves(what="answers of batches and jobs, which are those of their routes; files as they came",
           under=("/v1/files", "/v1/uploads", "/v1/batches", "/api/v1/jobs"),
           pictures=("returned",),
           booked="request.completed, moderation.completed"),
    Leaves(what="models", under=("/v1/models", "/v1beta/models")),
    Leaves(what="what a picture is", under=("/api/v1/verify", "/v1/content_provenance_checks"),
           methods=_POST, pictures=("small",), booked="verify.completed", seen="anybody"),
    Leaves(what="what a picture is, on a page", under=("/verify",), pictures=("small",),
           booked="verify.completed", seen="anybody"),
    Leaves(what="a picture with its manifest put back", under=("/verify/restored",),
           pictures=("returned",), seen="anybody"),
    Leaves(what="manifests, bindings and receipts", under=("/api/v1/c2pa",),
           booked="manifest.stored, manifest.removed, manifest.bound", seen="anybody"),
    Leaves(what="discovery", under=("/.well-known", "/api/v1/c2pa/services"), seen="anybody"),
    Leaves(what="records, receipts, searches, people and actions at the desk",
           under=("/api/v1/records", "/api/v1/receipts", "/api/v1/search", "/api/v1/review",
                  "/api/v1/report", "/api/v1/people"),
           booked="access.*, review.*, appeal.decided"),
    Leaves(what="appeals of who was refused", under=("/api/v1/appeals",),
           booked="appeal.opened", seen="anybody"),
    Leaves(what="exports", under=("/api/v1/exports", "/console/exports"),
           booked="access.exported"),
    Leaves(what="erasures, holds and seals",
           under=("/api/v1/custody", "/api/v1/erasures", "/api/v1/holds", "/api/v1/seals"),
           booked="erasure.*, hold.*, record.*"),
    Leaves(what="events sent to addresses of the deployer's",
           under=("/api/v1/webhooks", "/v1/webhook_endpoints", "/v1/webhook_event_types")),
    Leaves(what="decisions that a Coop server made", under=("/api/v1/coop",),
           booked="review.decided"),
    Leaves(what="hash lists and policies", under=("/api/v1/hashes", "/api/v1/policies"),
           seen="the operator"),
    Leaves(what="the desk's pages", under=("/console",), pictures=("held",),
           booked="access.*, review.*, appeal.decided, record.*"),
    Leaves(what="signing in and out", under=("/api/v1/session", "/sign-in", "/sign-out"),
           seen="anybody"),
    Leaves(what="the public log: checkpoints, hashes and keys", under=("/log", "/api/v1/keys"),
           seen="anybody"),
    Leaves(what="health", under=("/healthz", "/readyz"), seen="anybody"),
    Leaves(what="counts", under=("/metrics",), seen="the operator"),
    Leaves(what="pages and documents of the program itself",
           under=("/static", "/openapi.json", "/"), seen="anybody"),
)  # fmt: skip

_DATABASE: Final = r"(?:-wal|-shm)?"

STAYS: Final[tuple[Stays, ...]] = (
    Stays(
        what="the log: entries, content under each person's key, review copies, pictures to answer"
        " with again, small copies of what is public",
        files=(rf"audit/log\.db{_DATABASE}", r"audit/(?:log|leader)\.(?:lock|sock)"),
        erased="with the person",
        sealed=True,
        kept="content as long as retention says, entries for good",
    ),
    Stays(
        what="keys of the log's content",
        files=(rf"audit/vault/keys\.db{_DATABASE}", r"audit/vault/[\w.-]+\.lock",
               r"audit/vault/\.?[\w.-]+"),
        erased="with the person",
    ),
    Stays(
        what="the search index: words, fingerprints",
        files=(rf"audit/search\.db{_DATABASE}", r"audit/search\.lock"),
        erased="with the person",
        kept="as its records' content",
    ),
    Stays(what="checkpoints, public files and the log's own state",
          files=(r"audit/(?:checkpoint|public|tile|witness|state|stamps?|signer)[\w./-]*",
                 r"audit/\.[\w.-]+", r"audit/[\w.-]+\.(?:vkey|pub|json|txt|pem)")),
    Stays(what="keys: marks, signing, the log's", files=(r"keys/.*",)),
    Stays(what="manifests of what left, and their thumbnails", files=(
        rf"manifests/index\.sqlite{_DATABASE}", r"manifests/index\.lock",
        r"manifests/log-checkpoint",
        r"manifests/[0-9a-f]{2}/[0-9a-f]{64}\.c2pa", r"manifests/stamps?[\w./-]*")),
    Stays(
        what="embeddings of prompts",
        files=(rf"prompts/[\w.-]+\.(?:db|sqlite){_DATABASE}", r"prompts/[\w.-]+"),
        erased="with the person",
        kept="as its records' content",
    ),
    Stays(
        what="exports",
        files=(r"exports/[0-9a-f]{32}/(?:asked|manifest)\.json",
               r"exports/[0-9a-f]{32}/entries\.(?:jsonl|csv|parquet)"),
        erased="with the person",
        kept="seven days",
    ),
    Stays(
        what="answers kept for a key",
        files=(rf"tenancy/replays\.db{_DATABASE}", r"tenancy/replays\.lock"),
        erased="with its record",
        sealed=True,
        kept="a day",
    ),
    Stays(
        what="files of callers: lines of batches, their answers, pictures of the last hour",
        files=(rf"tenancy/files\.db{_DATABASE}", r"tenancy/files\.lock"),
        erased="with the person",
        kept="an hour to thirty days; a line that was not sent is nobody's until then",
    ),
    Stays(what="the secret of pictures' addresses", files=(r"tenancy/shared\.key",)),
    Stays(
        what="API keys' digests, tenants, quotas",
        files=(rf"tenancy/access\.db{_DATABASE}", r"tenancy/access\.lock"),
        erased="by its owner",
    ),
    Stays(
        what="people who work here, digests of their sessions and browsers",
        files=(rf"tenancy/people\.db{_DATABASE}", r"tenancy/people\.lock"),
        erased="by its owner",
    ),
    Stays(what="the secret of appeal tickets", files=(r"tenancy/tickets\.key",)),
    Stays(what="which requests are on their way", files=(r"running/[0-9a-f]{16}\.(?:ids|new)",),
          kept="until the process that works on them has ended"),
    Stays(what="the settings file, where it is kept here; passwords of databases, if it names any",
          files=(r"chopmark\.toml",), erased="by its owner"),
    Stays(what="the unpacked model, what is known of models, and compiled hash lists",
          files=(r"models?/.*", r"hashes/.*", r"lists?/.*", r"cache/.*")),
    Stays(what="trust lists of other signers", files=(r"anchors/.*", r"trust/.*")),
    Stays(what="addresses that events are sent to",
          files=(rf"(?:tenancy/)?webhooks\.db{_DATABASE}", r"(?:tenancy/)?webhooks\.lock"),
          erased="by its owner"),
)  # fmt: skip


_DATABASE_SETTING: Final = "CHOPMARK_DATABASE"
ELSEWHERE: Final[tuple[Elsewhere, ...]] = (
    Elsewhere(what="the log: entries, content under each person's key",
              where=_DATABASE_SETTING, under="public_log",
              erased="with the person", kept="content as long as retention says, entries for good"),
    Elsewhere(what="keys of the log's content", where=_DATABASE_SETTING, under="public_keys",
              erased="with the person", kept="for good"),
    Elsewhere(what="API keys' digests, tenants, quotas", where=_DATABASE_SETTING,
              under="public_access", erased="by its owner", kept="for good"),
    Elsewhere(what="people who work here, digests of their sessions and browsers",
              where=_DATABASE_SETTING, under="public_people", erased="by its owner",
              kept="for good"),
    Elsewhere(what="answers kept for a key, sealed", where=_DATABASE_SETTING,
              under="public_replays", erased="with its record", kept="a day"),
    Elsewhere(what="files of callers, in clear", where=_DATABASE_SETTING, under="public_files",
              erased="with the person", kept="an hour to thirty days"),
    Elsewhere(what="addresses that events are sent to", where=_DATABASE_SETTING,
              under="public_webhooks", erased="by its owner", kept="for good"),
    Elsewhere(what="which requests are on their way, by record", where=_DATABASE_SETTING,
              under="public_running", erased="nothing personal",
              kept="until they have ended, or their server has"),
    Elsewhere(what="counts by digests of names: requests, wrong passwords, refusals and waits of "
                   "a person, embeddings of their refused prompts",
              where=_DATABASE_SETTING, under="public_state", erased="no",
              kept="a minute, a day, and as long as the abuse rules look back (embeddings: as "
                   "their probes do, half an hour)"),
    Elsewhere(what="the same counts", where="CHOPMARK_SHARED_STATE", under="chopmark:1:",
              erased="no", kept="the same"),
    Elsewhere(what="public files of the log: hashes, checkpoint, entries where they are public",
              where="CHOPMARK_OBJECTS", under="log/", erased="nothing personal", kept="for good"),
    Elsewhere(what="manifests of what left, with prompts if CHOPMARK_MANIFEST_PROMPT says so, and "
              "what leads to them", where="CHOPMARK_OBJECTS",
              under="manifests/", erased="no", kept="for good"),
    Elsewhere(what="prompts, and pictures not in the log yet, on their way between machines",
              where="CHOPMARK_ENGINE", under="Ray's object store", erased="no",
              kept="until the piece of work is done: Ray's memory, which must not spill to disk"),
)  # fmt: skip


def leaving(method: str, path: str) -> Leaves | None:
    """Return the line that a route belongs to, or ``None``."""
    fits = [
        (len(start), line)
        for line in LEAVES
        for start in line.under
        if (not line.methods or method in line.methods) and _begins(path, start)
    ]
    return max(fits, key=lambda each: each[0])[1] if fits else None


def staying(path: str) -> Stays | None:
    """Return the line that a file of the home belongs to, by its path in it, or ``None``."""
    for line in STAYS:
        if any(re.fullmatch(pattern, path) for pattern in line.files):
            return line
    return None


def tables_in_markdown() -> str:
    """Return the tables as ``docs/exits.md`` shows them."""
    out = _rows(
        ("leaves", "under", "pixels", "logged before", "who gets it"),
        [
            (line.what, ", ".join(f"`{one}`" for one in line.under),
             ", ".join(line.pictures) or "no", line.booked or "nothing", line.seen)
            for line in LEAVES
        ],
    )  # fmt: skip
    out += "\n" + _rows(
        ("stays", "in the home", "erased", "kept"),
        [
            (line.what, f"`{_place(line.files[0])}`",
             line.erased + (", sealed" if line.sealed else ""), line.kept)
            for line in STAYS
        ],
    )  # fmt: skip
    out += "\n" + _rows(
        ("stays elsewhere", "by the setting", "under", "erased", "kept"),
        [
            (line.what, f"`{line.where}`", f"`{line.under}`", line.erased, line.kept)
            for line in ELSEWHERE
        ],
    )
    return out


def _place(pattern: str) -> str:
    """Return the folder that a pattern begins with, or the file that it is."""
    folder, mark, _ = pattern.removeprefix("(?:").partition("/")
    return f"{folder.removesuffix('?')}/" if mark else folder.replace("\\", "")


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _begins(path: str, start: str) -> bool:
    if start == "/":
        return path == "/"
    return path.startswith(start) and (start.endswith(":") or path[len(start) :][:1] in {"", "/"})
