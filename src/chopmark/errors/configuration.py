"""What the deployer wrote and we cannot use."""

from __future__ import annotations

from chopmark.errors.base import ChopmarkError

__all__ = ["ConfigurationError", "CredentialRefused", "InvalidPolicy", "TrustListRefused"]


class ConfigurationError(ChopmarkError):
    """A setting or a file of the deployer is wrong."""

    code = "configuration_error"


class InvalidPolicy(ConfigurationError):
    """A policy file cannot be used."""

    code = "invalid_policy"
    status = 400


class CredentialRefused(ConfigurationError):
    """A signing certificate that no verifier would accept."""

    code = "credential_refused"


class TrustListRefused(ConfigurationError):
    """A trust list that cannot be read, or is older than the one in place."""

    code = "trust_list_refused"
    status = 400
