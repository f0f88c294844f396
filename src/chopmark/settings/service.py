"""How ``chopmark serve`` answers: addresses, rates, sessions and sign-in."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field, SecretStr

__all__ = ["ServiceSettings"]


class ServiceSettings(BaseModel, frozen=True):
    """The HTTP service and its pages."""

    workers: int | None = Field(
        default=None,
        ge=0,
        le=256,
        description="Processes of each kind that judge, mark, sign and read files; 0: everything "
        "in one process. Unset: `chopmark serve` takes as many as cores and memory allow, all else "
        "0. See [workers.md](workers.md).",
    )
    worker_memory_mb: int = Field(
        default=1024,
        ge=128,
        description="MiB that one piece of work in a worker may take before it is stopped.",
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
        default="chopmark,gpt-image-*,chatgpt-image-*,dall-e-*,gemini-*-image*,imagen-*",
        description="Names, with commas between, that HTTP clients may also call the generator by; "
        "`*` stands for anything.",
    )
    cors_origins: str = Field(
        default="",
        description="Origins, with commas between, whose pages may call the API from a browser: "
        "`https://app.example`, or `*` for any.",
    )
    fetch_images: bool = Field(
        default=False,
        description="Let callers name input pictures by public https addresses, which are fetched.",
    )
    max_file_bytes: int = Field(
        default=100 * 2**20, ge=1024, description="Largest file of `/v1/files`, in bytes."
    )
    files_mb: int = Field(
        default=1024,
        ge=1,
        description="MiB of files of `/v1/files`, with the answers of batches, that are kept of "
        "one tenant before another is refused.",
    )
    files_days: int = Field(
        default=30,
        ge=1,
        le=3650,
        description="Days after which files of batches and their answers are gone, unless they are "
        "to go earlier.",
    )
    batch_running: int = Field(
        default=2,
        ge=0,
        le=64,
        description="Requests of batches and jobs that this server sends at once; 0: none, another "
        "server over the same home does it.",
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
        description="Address under which people reach this server, for links, OIDC sign-in and "
        "pictures that are asked for as a URL.",
    )
    verify_urls: bool = Field(
        default=False,
        description="Let the page `/verify` fetch a picture from a public https address.",
    )
    webhooks_private: bool = Field(
        default=False,
        description="Let webhooks be sent to private and loopback addresses, and by plain http.",
    )
    coop: Path | None = Field(
        default=None,
        description="YAML file of a ROOST Coop server that works on a tenant's tasks as well, see "
        "[desk.md](desk.md#coop).",
    )
    coop_api_key: SecretStr = Field(
        default=SecretStr(""), description="What that server is sent as `X-API-KEY`."
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
    trusted_proxies: str = Field(
        default="",
        description="Addresses or networks, with commas between, of reverse proxies whose "
        "`X-Forwarded-For` says who asks; what anybody else says of it is not believed.",
    )
    otel: bool = Field(
        default=False,
        description="Send OpenTelemetry spans to where `OTEL_EXPORTER_OTLP_ENDPOINT` says.",
    )
    host: str = Field(default="127.0.0.1", description="Address that `chopmark serve` binds to.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port of `chopmark serve`.")
