"""Settings: one table, read from ``CHOPMARK_*`` environment variables.

>>> Settings(home="/tmp/chopmark-example", mark_method="lattice").model
'embedded'

Every setting is documented in ``docs/settings.md``; a test fails when one is missing there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from chopmark.errors import ConfigurationError
from chopmark.kit.files import make_private_folder

__all__ = ["RECALL_S", "Settings", "load_settings"]

#: Longest that looking for an earlier answer may take: it must not cost what it saves.
RECALL_S: Final = 5.0


class Settings(BaseSettings):
    """How one installation of Chopmark behaves. Immutable; unknown names are refused."""

    model_config = SettingsConfigDict(env_prefix="CHOPMARK_", frozen=True, extra="forbid")

    home: Path = Field(
        default=Path("~/.local/share/chopmark"),
        description="Folder of all state: log, keys, manifests, unpacked model. Mode 0700.",
    )
    model: str = Field(
        default="embedded",
        description="Generator: `embedded`, a folder with a diffusers pipeline, `hf:org/name`, or "
        "`remote:https://host/v1#model` for a server with OpenAI's Images API.",
    )
    quantization: Literal["auto", "none", "int8", "fp8", "int4", "nf4", "gguf", "svdquant"] = Field(
        default="auto", description="How the generator's weights are held in memory."
    )
    runtime: Literal["eager", "compile", "openvino"] = Field(
        default="eager",
        description="How the denoiser runs: at once, compiled (a server that stays), or OpenVINO.",
    )
    loras: str = Field(
        default="", description="LoRA files or `hf:` ids, with commas between; `@0.8` is a scale."
    )
    remote_key: SecretStr = Field(
        default=SecretStr(""), description="Bearer token for a `remote:` generator."
    )
    remote_timeout_s: float = Field(
        default=120.0, gt=0, description="Seconds for one picture of a `remote:` generator."
    )
    remote_retries: int = Field(
        default=2,
        ge=0,
        le=10,
        description="How often a full `remote:` generator is asked again.",
    )
    remote_extras: bool = Field(
        default=True,
        description="Send `seed`, `steps` and the like, which are not OpenAI's, to it.",
    )
    remote_allow_plain_http: bool = Field(
        default=False, description="Let prompts and key cross a network to it unencrypted."
    )
    remote_size: str = Field(
        default="1024x1024",
        pattern=r"^[0-9]{2,4}x[0-9]{2,4}$",
        description="Size that a `remote:` generator is asked for when the caller names none.",
    )
    device: str = Field(
        default="auto", description="Where the model runs: `auto`, `cpu`, `cuda` or `cuda:1`."
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="Numbers that the model computes in; `auto`: float32 on a CPU."
    )
    max_batch: int = Field(
        default=8, ge=1, le=64, description="Pictures that share one call of the model; 1: none do."
    )
    max_waiting: int = Field(
        default=256, ge=1, description="Pictures that may wait for the model before 503."
    )
    prompt_cache_mb: int = Field(
        default=64, ge=0, description="MiB of memory for prompts' embeddings; 0: none are kept."
    )
    memory_limit_mb: int = Field(
        default=0,
        ge=0,
        description="MiB that the process, or its share of a GPU, may take; 0: any.",
    )
    prompt_index: bool = Field(
        default=False,
        description="Keep embeddings of prompts, to find variations and repetitions: personal "
        "data, erasable.",
    )
    cached_answers: Literal["off", "exact", "reworded"] = Field(
        default="off",
        description="Answer a prompt that the same tenant had granted before with the same "
        "pictures: the very prompt (`exact`), or also with other case, articles and punctuation "
        "(`reworded`). Needs `CHOPMARK_PROMPT_INDEX`. See [generation.md](generation.md).",
    )
    cached_answers_mb: int = Field(
        default=256, ge=1, description="MiB of pictures that are kept for this, of each tenant."
    )
    cached_answers_hours: float = Field(
        default=168.0, gt=0, description="Hours after which such pictures are no answer any more."
    )
    warm_up: bool = Field(
        default=True, description="Whether `chopmark serve` makes a first picture as it starts."
    )
    policy: str = Field(
        default="default", description="Safety policy: `default`, `strict` or a YAML file."
    )
    tenant_policies: Path | None = Field(
        default=None,
        description="Folder of overrides: `TENANT.yaml` changes the policy for that tenant; floors "
        "may only become stricter.",
    )
    shadow_policy: str | None = Field(
        default=None,
        description="A second policy that is judged beside the active one and only logged.",
    )
    on_review: Literal["release", "refuse"] = Field(
        default="release",
        description="What a `review` verdict does to a picture: released and booked as flagged, "
        "or refused.",
    )
    hash_lists: Path | None = Field(
        default=None, description="Folder with hash lists that outputs and inputs are matched with."
    )
    hma_url: str = Field(
        default="",
        description="Address of a Hasher-Matcher-Actioner service that is asked about every "
        "picture beside the lists.",
    )
    hma_key: str = Field(default="", repr=False, description="Its API key, sent as a bearer token.")
    guard_model: str | None = Field(
        default=None,
        description="A larger guard model that is asked about uncertain prompts: `hf:org/name` or "
        "a folder (Qwen3Guard, Llama Guard, ShieldGemma, Granite Guardian).",
    )
    guard_model_timeout_s: float = Field(
        default=5.0,
        gt=0,
        description="Longest that the larger guard model may take; then what was uncertain counts "
        "as harmful.",
    )
    image_guards: str = Field(
        default="",
        description="Larger picture models for the review band, with commas between: `nudenet`, "
        "`hf:org/name`.",
    )
    clip_backbone: str | None = Field(
        default=None,
        description="A CLIP model, `hf:org/name` or a folder, that compares doubtful pictures with "
        "words.",
    )
    picture_text: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="Read and judge the text in pictures: where the prompt asks for writing or in "
        "doubt, if `chopmark[ocr]` is installed (`auto`); in every picture; or never.",
    )
    mark_method: str = Field(
        default="lattice",
        description="Watermark method that is struck into every output: `lattice`, `dwtDct`, "
        "`dwtDctSvd`, `trustMark` (with weights of yours), or one of a plugin.",
    )
    plugins: bool = Field(
        default=True,
        description="Whether installed packages with an entry point in the group `chopmark` take "
        "part.",
    )
    signing_cert: Path | None = Field(
        default=None,
        description="PEM chain (leaf first) to sign manifests with. Unset: a development CA.",
    )
    signing_key: Path | None = Field(
        default=None, description="PEM private key of the signing certificate."
    )
    signer: Literal["file", "pkcs11", "remote"] = Field(
        default="file",
        description="Who holds the private key: a file, a PKCS#11 token, or a signing service.",
    )
    development_key: Literal["es256", "ed25519"] = Field(
        default="es256", description="Algorithm of a development CA that is made now."
    )
    pkcs11_module: Path | None = Field(
        default=None, description="Shared library of the PKCS#11 token."
    )
    pkcs11_token: str = Field(default="", description="Label of the PKCS#11 token.")
    pkcs11_key: str = Field(default="", description="Label of the private key in the token.")
    pkcs11_pin_file: Path | None = Field(
        default=None, description="File, readable by its owner only, with the token's PIN."
    )
    remote_signer_url: str = Field(
        default="", description="Signing service: https, or http on the loopback interface."
    )
    remote_signer_token_file: Path | None = Field(
        default=None, description="File, readable by its owner only, with its bearer token."
    )
    tsa_url: str = Field(
        default="", description="RFC 3161 time-stamping authority. Empty: no time stamps."
    )
    tsa_wait_s: float = Field(
        default=3.0,
        ge=0,
        description="Longest that a picture waits for its time stamp; what got none is stamped "
        "later from a queue. 0: always later.",
    )
    tsa_every_s: float = Field(
        default=60.0, gt=0, description="How often `chopmark serve` tries the queue."
    )
    manifest_prompt: bool = Field(
        default=False,
        description="Write the prompt into manifest and XMP. Off: a prompt is personal data.",
    )
    training_mining: Literal["allowed", "notAllowed"] = Field(
        default="notAllowed",
        description="What `cawg.training-mining` says of training on, and mining of, the pictures.",
    )
    soft_binding: bool = Field(
        default=True,
        description="Name watermark and fingerprint in the manifest (`c2pa.soft-binding`).",
    )
    aigc_producer: str = Field(
        default="",
        max_length=200,
        description="Provider's name or code for China's `TC260:AIGC` element in the XMP. Empty: "
        "no such element.",
    )
    label: Literal["off", "default", "china", "india"] = Field(
        default="off", description="Visible label on every picture, in the style of this profile."
    )
    label_language: Literal["en", "de", "fr", "es", "it", "pt", "nl", "zh"] | None = Field(
        default=None, description="Language of the label. Unset: the profile's."
    )
    label_text: str = Field(
        default="", max_length=100, description="Own words on the label instead of the language's."
    )
    label_position: (
        Literal["top_left", "top_right", "bottom_left", "bottom_right", "bottom_bar"] | None
    ) = Field(default=None, description="Where the label stands. Unset: the profile's place.")
    label_size: float | None = Field(
        default=None,
        ge=0.02,
        le=0.3,
        description="Height of its letters as a part of the shortest side. Unset: the profile's.",
    )
    label_font: Path | None = Field(
        default=None, description="TrueType font for scripts that the built-in one has not."
    )
    trust_anchors: Path | None = Field(
        default=None,
        description="Folder with `manifest/*.pem` and `tsa/*.pem`: own lists of whom `verify` "
        "trusts. Unset: `anchors` in the home.",
    )
    public_verify: bool = Field(
        default=False,
        description="Let anybody verify pictures and ask the resolver over HTTP, without a key.",
    )
    resolver_writes: bool = Field(
        default=False,
        description="Let keys with the scopes `store:manifests` and `store:bindings` add to the "
        "Soft Binding Resolution API.",
    )
    resolver_by_reference: bool = Field(
        default=False,
        description="Let the resolver fetch pictures from public https addresses that callers "
        "name.",
    )
    log_origin: str = Field(
        default="chopmark.local/log",
        description="Name of the log in its checkpoints (C2SP tlog-checkpoint origin line).",
    )
    log_database: str = Field(
        default="",
        description="`postgresql://...` of the log; empty keeps it in a SQLite file in the home.",
    )
    log_keys_database: str = Field(
        default="",
        description="`postgresql://...` of the log's data keys, another database with a short "
        "backup retention; empty keeps them in a SQLite file.",
    )
    log_witnesses: Path | None = Field(
        default=None,
        description="File with the log's witnesses, an address and a verifier key a line; "
        "`chopmark audit checkpoint` has them cosign. See [audit.md](audit.md).",
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
    output_format: Literal["png", "jpeg", "webp", "avif"] = Field(
        default="png", description="Format of the pictures when the caller does not say."
    )
    max_outputs: int = Field(default=10, ge=1, le=15, description="Most pictures in one request.")
    max_prompt_chars: int = Field(
        default=32_000, ge=1, description="Longest prompt, in characters."
    )
    max_image_bytes: int = Field(
        default=32 * 2**20, ge=1024, description="Largest input picture, in bytes."
    )
    max_image_pixels: int = Field(
        default=64_000_000, ge=4096, description="Largest input picture, in pixels after decoding."
    )
    max_references: int = Field(
        default=3,
        ge=0,
        le=15,
        description="Most further pictures of one edit, beside the one that is changed.",
    )
    guard_timeout_s: float = Field(
        default=30.0, gt=0, description="Longest that judging one prompt or picture may take."
    )
    generate_timeout_s: float = Field(
        default=600.0, gt=0, description="Longest that the generator may take for one request."
    )
    seal_timeout_s: float = Field(
        default=60.0, gt=0, description="Longest that marking or signing one picture may take."
    )
    log_timeout_s: float = Field(
        default=10.0, gt=0, description="Longest wait for the log to make a record durable."
    )
    max_queue: int = Field(
        default=16, ge=0, description="Requests that may wait for the generator before 503."
    )
    max_running: int = Field(
        default=8, ge=1, description="HTTP requests that the generator works on at once."
    )
    shutdown_s: int = Field(
        default=30,
        ge=0,
        description="Seconds that requests in flight may still take when the server is stopped.",
    )
    model_aliases: str = Field(
        default="chopmark",
        description="Names, with commas between, that HTTP clients may also call the generator by.",
    )
    appeal_url: str = Field(
        default="",
        description="Address named in refusals for appeals; `{decision_id}` in it is filled in.",
    )
    requests_per_minute: int = Field(
        default=600,
        ge=0,
        description="HTTP requests of one tenant in a minute, unless it has its own; 0: no limit.",
    )
    retention_days: int | None = Field(
        default=None,
        ge=1,
        description="Days after which a server takes content away; unset: `audit retain` alone.",
    )
    blocked_retention_days: int | None = Field(
        default=None, ge=1, description="The same for what was refused; unset: as the others."
    )
    abuse: str = Field(
        default="abuse",
        description="Rules for people who are refused again and again: `abuse`, `none` or a file.",
    )
    session_idle_minutes: int = Field(
        default=60, ge=1, description="Minutes without a request after which a sign-in ends."
    )
    session_hours: int = Field(
        default=12, ge=1, description="Hours after which a sign-in ends in any case."
    )
    public_url: str = Field(
        default="",
        description="Address under which people reach this server, for links and OIDC sign-in.",
    )
    verify_urls: bool = Field(
        default=False,
        description="Let the page `/verify` fetch a picture from a public https address.",
    )
    review_pictures: bool = Field(
        default=True,
        description="Keep a small copy of each output that a guard flagged, encrypted and erasable "
        "with the prompt, so that a reviewer can decide on it.",
    )
    break_after_minutes: int = Field(
        default=50, ge=1, description="Minutes at the console after which it reminds of a break."
    )
    cost_per_hour: float = Field(
        default=0.0,
        ge=0,
        description="What an hour of this machine costs, for the costs that the studio shows; "
        "0 shows none.",
    )
    log_entries_public: bool = Field(
        default=False,
        description="Serve the log's entry bundles to everybody, for monitors; else to auditors.",
    )
    oidc_issuer: str = Field(
        default="",
        description="OIDC provider whose people may sign in, as in its `iss`; unset: none.",
    )
    oidc_audience: str = Field(
        default="", description="`aud` of the provider's bearer tokens for this API."
    )
    oidc_client_id: str = Field(
        default="", description="Client id of this server at the provider, for the pages."
    )
    oidc_client_secret: SecretStr = Field(
        default=SecretStr(""), description="Its secret; unset for a public client (PKCE alone)."
    )
    oidc_scopes: str = Field(
        default="openid profile", description="Scopes that the pages ask the provider for."
    )
    oidc_algorithms: str = Field(
        default="RS256,ES256",
        description="Signature algorithms that are taken, out of RS256, PS256, ES256, EdDSA.",
    )
    oidc_name_claim: str = Field(
        default="sub", description="Claim that names a person in the log; must never be reused."
    )
    oidc_roles_claim: str = Field(
        default="roles", description="Claim with groups or roles; dots lead inside objects."
    )
    oidc_roles: str = Field(
        default="",
        description="Roles of its values: `group=role,group=role`; unset: values are our roles.",
    )
    oidc_tenant_claim: str = Field(
        default="tenant", description="Claim with the tenant's name; `*` is all tenants."
    )
    oidc_tenant: str = Field(
        default="", description="Tenant of people whose token names none; unset: they are refused."
    )
    otel: bool = Field(
        default=False,
        description="Send OpenTelemetry spans to where `OTEL_EXPORTER_OTLP_ENDPOINT` says.",
    )
    host: str = Field(default="127.0.0.1", description="Address that `chopmark serve` binds to.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port of `chopmark serve`.")

    @field_validator("cached_answers")
    @classmethod
    def _needs_the_index(cls, value: str, info: ValidationInfo) -> str:
        if value != "off" and not info.data.get("prompt_index"):
            raise ValueError("needs CHOPMARK_PROMPT_INDEX=true, which finds the earlier prompts")
        return value

    @property
    def longest_s(self) -> float:
        """Seconds after which no request can still be on its way: every stage at its limit."""
        # Pictures of an earlier answer are judged, and may still give way to new ones.
        per_picture = 2 * self.guard_timeout_s + 2 * self.seal_timeout_s
        once = 3 * self.guard_timeout_s + self.generate_timeout_s + 4 * self.log_timeout_s
        once += 2 * RECALL_S
        return once + self.max_outputs * per_picture

    def open_home(self) -> Path:
        """Return the home folder, made with mode 0700 where it was missing.

        Raises:
            ConfigurationError: The folder cannot be made or written.
        """
        home = self.home.expanduser()
        make_private_folder(home)
        return home


def load_settings(**overrides: object) -> Settings:
    """Return settings from the environment with ``overrides`` (``None`` means: not given).

    Raises:
        ConfigurationError: A variable or override has a value that cannot be used.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(
            f"setting {name}: {said} (got {first.get('input')!r})",
            hint=f"see docs/settings.md; the variable is CHOPMARK_{name.upper()}",
        ) from error
