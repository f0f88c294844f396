"""What a file says of itself beside its manifest, read where it stands in the container.

>>> from chopmark.provenance.metadata import read_metadata
>>> read_metadata(b"no picture").mentions
()
"""

from __future__ import annotations

from chopmark.provenance.metadata._programs import action_names_generator
from chopmark.provenance.metadata.reader import (
    Mention,
    Metadata,
    aigc_labels,
    packets_of,
    read_metadata,
    remote_manifest,
)

__all__ = [
    "Mention",
    "Metadata",
    "action_names_generator",
    "aigc_labels",
    "packets_of",
    "read_metadata",
    "remote_manifest",
]
