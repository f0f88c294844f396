"""What the deployer wrote and we cannot use."""

from __future__ import annotations

from chopmark.errors.base import ChopmarkError

__all__ = ["ConfigurationError", "CredentialRefused", "InvalidPolicy"]


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
