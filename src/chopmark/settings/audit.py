"""Where the log is kept, for how long, and who may do what in it."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field

__all__ = ["AuditSettings"]


class AuditSettings(BaseModel, frozen=True):
    """The log and its desk."""

    log_origin: str = Field(
        default="chopmark.local/log",
        description="Name of the log in its checkpoints (C2SP tlog-checkpoint origin line).",
    )
    database: str = Field(
        default="",
        description="`postgresql://...` for all that several servers share: log, data keys, API "
        "keys, people, quotas, kept answers, webhooks. Empty: SQLite files in the home. See "
        "[scaling.md](scaling.md).",
    )
    shared_state: str = Field(
        default="",
        description="`redis://host:6379/0` (or `rediss://`, `unix://`) for what several servers "
        "count together: requests a minute, waits of people, wrong passwords. Empty: where "
        "`CHOPMARK_DATABASE` says, and without it the memory of each server. See "
        "[scaling.md](scaling.md).",
    )
    objects: str = Field(
        default="",
        description="`s3://bucket/prefix`, by the usual `AWS_*` variables, in which "
        "`chopmark serve` keeps the log's public files (tiles and checkpoint) and manifests as "
        "well, so that other machines find them. See "
        "[scaling.md](scaling.md).",
    )
    log_database: str = Field(
        default="",
        description="`postgresql://...` of the log alone; empty: where `CHOPMARK_DATABASE` says.",
    )
    log_keys_database: str = Field(
        default="",
        description="`postgresql://...` of the log's data keys, another database with a short "
        "backup retention; empty: where `CHOPMARK_DATABASE` says.",
    )
    log_witnesses: Path | None = Field(
        default=None,
        description="File with the log's witnesses, an address and a verifier key a line; "
        "`chopmark audit checkpoint` has them cosign. See [audit.md](audit.md).",
    )
    log_mark: Path | None = Field(
        default=None,
        description="File, best on another machine or on a medium that is written once, in which "
        "the log's newest checkpoint is kept as well; the signer and `chopmark audit verify` "
        "compare the log with it. See [audit.md](audit.md).",
    )
    log_checkpoint_s: float = Field(
        default=60.0,
        ge=0.0,
        description="Seconds after which `chopmark serve` signs a checkpoint of what is new, and "
        "has the witnesses cosign it; 0: only when somebody asks for a receipt or a checkpoint.",
    )
    desk_roles: str = Field(
        default="auditor,reader",
        description="What the person at the command line may do in the log, with commas between; "
        "`--role` wins. See [audit.md](audit.md).",
    )
    review_rules: Path | None = Field(
        default=None,
        description="YAML list of routing rules for the review queues, see [audit.md](audit.md). "
        "Unset: what is to be reviewed goes to the queue `review`.",
    )
    cybertip: Path | None = Field(
        default=None,
        description="YAML file that says who reports to NCMEC's CyberTipline; needed for drafts of "
        "such reports, see [audit.md](audit.md#cybertipline).",
    )
    second_opinions: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="Share of review decisions on which a second person decides as well, without "
        "seeing the first; a routing rule's own `second_opinions` wins.",
    )
    takedown_hours: float | None = Field(
        default=None,
        gt=0,
        description="Hours within which a demand to take pictures down is to be decided, from when "
        "it arrived; unset: no deadline. See [desk.md](desk.md#demands-to-take-something-down).",
    )
    takedown_intimate_hours: float | None = Field(
        default=None,
        gt=0,
        description="The same for intimate pictures; unset: as the others.",
    )
    log_entries_public: bool = Field(
        default=False,
        description="Serve the log's entry bundles to everybody, for monitors; else to auditors.",
    )
    retention_days: int | None = Field(
        default=None,
        ge=1,
        description="Days after which a server takes content away; unset: `audit retain` alone.",
    )
    blocked_retention_days: int | None = Field(
        default=None, ge=1, description="The same for what was refused; unset: as the others."
    )
    review_pictures: bool = Field(
        default=True,
        description="Keep a small copy of each output that a guard flagged, encrypted and erasable "
        "with the prompt, so that a reviewer can decide on it.",
    )

    @property
    def log_address(self) -> str | None:
        """Where the log is: an address, or None for the file in the home."""
        return self.log_database or (f"{self.database}#log" if self.database else None)

    @property
    def log_keys_address(self) -> str | None:
        """Where the log's data keys are: an address, or None for the file in the home."""
        return self.log_keys_database or (f"{self.database}#keys" if self.database else None)
