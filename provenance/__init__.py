"""Provenance: mark, sign and label what was generated, and tell of any file where it comes from.

>>> import datetime as dt, tempfile, warnings
>>> from pathlib import Path
>>> from PIL import Image
>>> from chopmark.provenance import (
...     DevelopmentCredentialWarning, ManifestInfo, TrustAnchors, encode_image, load_credential,
...     sign, verify)
>>> with warnings.catch_warnings():
...     warnings.simplefilter("ignore", DevelopmentCredentialWarning)
...     credential = load_credential(Path(tempfile.mkdtemp()))
>>> info = ManifestInfo(
...     output_id="a3f09c1122334451", record_id="a3f09c1122334450", model_id="tiny",
...     model_version="1", created_at=dt.datetime.now(dt.UTC), generator_version="0.1.0")
>>> signed = sign(encode_image(Image.radial_gradient("L"), "png"), "png", info, credential)
>>> report = verify(
...     signed.data, anchors=TrustAnchors.of(credential),
...     find_record=lambda record_id: {"record_id": record_id})
>>> report.verdict, report.manifest.state, report.credential.own
('made_here', 'intact', True)
>>> report.summary
'This picture was made here by AI with tiny 1 (record a3f09c1122334450): its manifest is intact.'

Importing this costs next to nothing: what needs numpy, OpenCV or the native C2PA library loads it
when it is called. Nothing here opens a connection, except a signer or a time-stamping authority
that was set up to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.kit.door import lazy_door

if TYPE_CHECKING:
    from chopmark.kit.fingerprint import fingerprint, pixel_digest
    from chopmark.provenance._fetch import fetch_public
    from chopmark.provenance._formats import Limits
    from chopmark.provenance._possession import Signer
    from chopmark.provenance.credential import (
        Credential,
        DevelopmentCredentialWarning,
        load_credential,
        rotate_credential,
    )
    from chopmark.provenance.encode import encode_image
    from chopmark.provenance.inputs import read_ingredient
    from chopmark.provenance.interface import CredentialProvider, ManifestRepository
    from chopmark.provenance.label import LABEL_PROFILES, LabelStyle, draw_label
    from chopmark.provenance.manifest import InputIngredient, ManifestInfo, mark_algorithm
    from chopmark.provenance.reattachment import reattach
    from chopmark.provenance.report import Report
    from chopmark.provenance.resolver import Resolver
    from chopmark.provenance.rotation import (
        CredentialRotationWarning,
        CredentialSource,
        MarkKeySource,
    )
    from chopmark.provenance.signed import Signed, sign
    from chopmark.provenance.signers import Pkcs11Signer, RemoteSigner, key_algorithm, read_secret
    from chopmark.provenance.store import ManifestStore
    from chopmark.provenance.thumbnail import signed_copy
    from chopmark.provenance.timestamp_authority import NoTimestampWarning, TimestampAuthority
    from chopmark.provenance.timestamps import QueueRun, TimestampQueue
    from chopmark.provenance.trust import AnchorList, TrustAnchors, load_anchors
    from chopmark.provenance.verification import verify
    from chopmark.provenance.watermark import (
        MarkKey,
        MarkKeys,
        MarkResult,
        detect_mark,
        embed_mark,
        load_mark_keys,
    )
    from chopmark.provenance.xmp import Aigc, XmpFields, read_xmp, write_xmp

__all__ = [
    "LABEL_PROFILES",
    "Aigc",
    "AnchorList",
    "Credential",
    "CredentialProvider",
    "CredentialRotationWarning",
    "CredentialSource",
    "DevelopmentCredentialWarning",
    "InputIngredient",
    "LabelStyle",
    "Limits",
    "ManifestInfo",
    "ManifestRepository",
    "ManifestStore",
    "MarkKey",
    "MarkKeySource",
    "MarkKeys",
    "MarkResult",
    "NoTimestampWarning",
    "Pkcs11Signer",
    "QueueRun",
    "RemoteSigner",
    "Report",
    "Resolver",
    "Signed",
    "Signer",
    "TimestampAuthority",
    "TimestampQueue",
    "TrustAnchors",
    "XmpFields",
    "detect_mark",
    "draw_label",
    "embed_mark",
    "encode_image",
    "fetch_public",
    "fingerprint",
    "key_algorithm",
    "load_anchors",
    "load_credential",
    "load_mark_keys",
    "mark_algorithm",
    "pixel_digest",
    "read_ingredient",
    "read_secret",
    "read_xmp",
    "reattach",
    "rotate_credential",
    "sign",
    "signed_copy",
    "verify",
    "write_xmp",
]

__getattr__, __dir__ = lazy_door(
    __name__,
    {
        "Aigc": "xmp",
        "AnchorList": "trust",
        "Credential": "credential",
        "CredentialProvider": "interface",
        "CredentialRotationWarning": "rotation",
        "CredentialSource": "rotation",
        "DevelopmentCredentialWarning": "credential",
        "InputIngredient": "manifest",
        "Limits": "_formats",
        "ManifestInfo": "manifest",
        "ManifestRepository": "interface",
        "ManifestStore": "store",
        "MarkKey": "watermark",
        "MarkKeySource": "rotation",
        "MarkKeys": "watermark",
        "MarkResult": "watermark",
        "NoTimestampWarning": "timestamp_authority",
        "Pkcs11Signer": "signers",
        "QueueRun": "timestamps",
        "RemoteSigner": "signers",
        "Report": "report",
        "Resolver": "resolver",
        "Signed": "signed",
        "Signer": "_possession",
        "TimestampAuthority": "timestamp_authority",
        "TimestampQueue": "timestamps",
        "TrustAnchors": "trust",
        "XmpFields": "xmp",
        "LABEL_PROFILES": "label",
        "LabelStyle": "label",
        "detect_mark": "watermark",
        "draw_label": "label",
        "embed_mark": "watermark",
        "encode_image": "encode",
        "fetch_public": "_fetch",
        "fingerprint": "chopmark.kit.fingerprint",
        "key_algorithm": "signers",
        "load_anchors": "trust",
        "load_credential": "credential",
        "load_mark_keys": "watermark",
        "mark_algorithm": "manifest",
        "pixel_digest": "chopmark.kit.fingerprint",
        "read_ingredient": "inputs",
        "read_secret": "signers",
        "read_xmp": "xmp",
        "reattach": "reattachment",
        "rotate_credential": "credential",
        "sign": "signed",
        "signed_copy": "thumbnail",
        "verify": "verification",
        "write_xmp": "xmp",
    },
)
