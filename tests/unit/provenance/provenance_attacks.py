"""Attacks on signed pictures, each named for what it does.

``python tests/unit/provenance/provenance_attacks.py FOLDER`` signs a picture with a fresh
development CA (``FOLDER/root.pem``) and writes one file for each attack, to try on any verifier.
"""

from __future__ import annotations

import datetime as dt
import io
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import c2pa
import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from PIL import Image

from chopmark.provenance._boxes import jpeg_segments, png_chunk, png_chunks, webp_chunks
from chopmark.provenance._formats import mime_of, sniff
from chopmark.provenance._native import EKU_LIST
from chopmark.provenance.reattachment import insert, remove

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
CLAIM_SIGNING = "1.3.6.1.4.1.62558.2.1"


T = TypeVar("T")


class Outsider:
    """Somebody with a root, an intermediate and a signing certificate that we never heard of."""

    def __init__(
        self,
        *,
        organisation: str = "Outsider",
        name: str = "Outsider signer",
        seconds: float = 86_400,
        leaf_changes: Any = None,
    ) -> None:
        self.organisation = organisation
        self.root, root_key = self._issue(f"{name} root", None, None, ca=True)
        self.middle, self.middle_key = self._issue(f"{name} CA", self.root, root_key, ca=True)
        self.leaf, self.key = self._issue(
            name, self.middle, self.middle_key, ca=False, seconds=seconds, changes=leaf_changes
        )

    def issue(self, name: str, changes: Any) -> tuple[Any, Any]:
        """Return a certificate of the same CA and its key."""
        return self._issue(name, self.middle, self.middle_key, ca=False, changes=changes)

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def another(self, name: str) -> Outsider:
        """Another customer of the same CA."""
        other = object.__new__(Outsider)
        other.__dict__ |= self.__dict__
        other.leaf, other.key = self._issue(name, self.middle, self.middle_key, ca=False)
        return other

    @property
    def chain_pem(self) -> str:
        return "".join(one.public_bytes(Encoding.PEM).decode() for one in (self.leaf, self.middle))

    @property
    def root_pem(self) -> str:
        return self.root.public_bytes(Encoding.PEM).decode()

    def sign(
        self,
        data: bytes,
        *,
        source_type: str | None = "digitalCapture",
        parent: bytes | None = None,
        component: bytes | None = None,
        assertions: tuple[dict[str, Any], ...] = (),
        remote: str | None = None,
        embed: bool = True,
        anchors: str = "",
        thumbnails: bool = False,
    ) -> bytes:
        """Sign whatever one likes."""
        kind = sniff(data)
        assert kind is not None
        first: dict[str, Any] = {"action": "c2pa.created"}
        if parent is not None:
            first = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["parent"]}}
        if source_type is not None and parent is None:
            first["digitalSourceType"] = SOURCE + source_type
        actions = [first]
        if parent is not None and source_type is not None:
            actions.append({"action": "c2pa.edited", "digitalSourceType": SOURCE + source_type})
        if component is not None:
            actions.append(
                {"action": "c2pa.placed", "parameters": {"ingredientIds": ["component"]}}
            )
        definition = {
            "claim_version": 2,
            "claim_generator_info": [{"name": "Somebody else", "version": "1"}],
            "assertions": [
                {"label": "c2pa.actions.v2", "data": {"actions": actions}, "created": True},
                *assertions,
            ],
        }
        trust: dict[str, Any] = {"trust_config": EKU_LIST}
        if anchors:
            trust["user_anchors"] = anchors
        settings = {
            "version": 1,
            "trust": trust,
            "verify": {"verify_after_sign": False, "remote_manifest_fetch": False},
            "builder": {"thumbnail": {"enabled": thumbnails}},
        }
        builder = c2pa.Builder(definition, context=c2pa.Context.from_dict(settings))
        for name, relation, input_file in (
            ("parent", "parentOf", parent),
            ("component", "componentOf", component),
        ):
            if input_file is not None:
                entry = {"title": name, "relationship": relation, "label": name}
                builder.add_ingredient(
                    entry, mime_of(sniff(input_file) or ""), io.BytesIO(input_file)
                )
        if remote is not None:
            builder.set_remote_url(remote)
        if not embed:
            builder.set_no_embed()
        signer = c2pa.Signer.from_callback(
            lambda text: self.key.sign(text, ec.ECDSA(hashes.SHA256())),
            c2pa.C2paSigningAlg.ES256,
            self.chain_pem,
        )
        out = io.BytesIO()
        builder.sign(signer, mime_of(kind), io.BytesIO(data), out)
        return out.getvalue()

    def sign_with_identity(self, data: bytes, person: Outsider) -> bytes:
        """Sign, with an identity assertion (CAWG) by somebody else in it."""
        settings = {
            "version": 1,
            "trust": {"trust_config": EKU_LIST},
            "signer": {
                "local": {
                    "alg": "es256", "sign_cert": self.chain_pem, "private_key": self.key_pem,
                }
            },
            "cawg_x509_signer": {
                "local": {
                    "alg": "es256", "sign_cert": person.chain_pem, "private_key": person.key_pem,
                }
            },
            "verify": {"verify_after_sign": False, "remote_manifest_fetch": False},
            "builder": {"thumbnail": {"enabled": False}},
        }  # fmt: skip
        first = {"action": "c2pa.created", "digitalSourceType": SOURCE + "digitalCapture"}
        definition = {
            "claim_version": 2,
            "claim_generator_info": [{"name": "Somebody else", "version": "1"}],
            "assertions": [
                {"label": "c2pa.actions.v2", "data": {"actions": [first]}, "created": True}
            ],
        }
        builder = c2pa.Builder(definition, context=c2pa.Context.from_dict(settings))
        # The Python wrapper (0.38) does not see that the settings name a signer.
        builder._has_context_signer = True
        out = io.BytesIO()
        builder.sign(mime_of(sniff(data) or ""), io.BytesIO(data), out)
        return out.getvalue()

    def _issue(
        self,
        name: str,
        issuer: x509.Certificate | None,
        issuer_key: ec.EllipticCurvePrivateKey | None,
        *,
        ca: bool,
        seconds: float = 86_400,
        changes: Any = None,
    ) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, self.organisation),
                x509.NameAttribute(NameOID.COMMON_NAME, name),
            ]
        )
        now = dt.datetime.now(dt.UTC)
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "encipher_only", "decipher_only"), False,
        )  # fmt: skip
        values: dict[str, Any] = {
            "basic": x509.BasicConstraints(ca=ca, path_length=None),
            "usage": x509.KeyUsage(
                digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, **usage
            ),
            "ski": x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
            "aki": x509.AuthorityKeyIdentifier.from_issuer_public_key(
                (issuer_key or key).public_key()
            ),
            "eku": None
            if ca
            else x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.EMAIL_PROTECTION, ObjectIdentifier(CLAIM_SIGNING)]
            ),
            "start": now - dt.timedelta(minutes=5),
            "end": now + dt.timedelta(seconds=seconds),
        }
        if changes is not None:
            changes(values, key)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(values["start"])
            .not_valid_after(values["end"])
        )
        for extension in ("basic", "usage", "ski", "aki", "eku", "access", "names"):
            if values.get(extension) is not None:
                critical = extension in {"basic", "usage"}
                builder = builder.add_extension(values[extension], critical=critical)
        return builder.sign(issuer_key or key, hashes.SHA256()), key


def transplanted_mark(data: bytes, original: Image.Image, other: Image.Image) -> Image.Image:
    """The mark of ``data``, its original known, laid on another picture of the same size."""
    with Image.open(io.BytesIO(data)) as marked:
        mark = np.asarray(marked.convert("RGB"), np.int16) - np.asarray(original, np.int16)
    return Image.fromarray(np.clip(np.asarray(other, np.int16) + mark, 0, 255).astype(np.uint8))


def transplanted_manifest(data: bytes, other: bytes) -> bytes:
    """The manifest of ``data`` put onto another picture of the same format."""
    return insert(remove(other), manifest_of(data))


def appended_bytes(data: bytes) -> bytes:
    """Bytes after the end; in AVIF a `free` box, which C2PA lets a hash leave out."""
    hidden = b"hidden payload"
    if sniff(data) == "avif":
        return data + (8 + len(hidden)).to_bytes(4, "big") + b"free" + hidden
    return data + hidden


def changed_source_type(data: bytes) -> bytes:
    """The statement of AI overwritten by one of the same length (PNG; its checksum made right)."""
    return _rewrite(data, b"trainedAlgorithmicMedia", b"digitalCapture/ignored.")


def swapped_issuer(data: bytes, name: bytes = b"Chopmark development") -> bytes:
    """Another name of the same length written into the signing certificate."""
    return _rewrite(data, name, b"OpenAI OpCo LLC     "[: len(name)].ljust(len(name)))


def doubled_manifest(data: bytes) -> bytes:
    """The manifest's chunk twice."""
    for piece in png_chunks(data):
        if piece.type == b"caBX":
            return data[: piece.end] + data[piece.start : piece.end] + data[piece.end :]
    raise AssertionError("no manifest in this PNG")


def truncated(data: bytes) -> bytes:
    """The first half of the file."""
    return data[: len(data) // 2]


def changed_pixels(data: bytes) -> bytes:
    """One pixel inverted, manifest kept."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    red, green, blue = image.getpixel((3, 3))  # type: ignore[misc]
    image.putpixel((3, 3), (255 - red, 255 - green, 255 - blue))
    out = io.BytesIO()
    image.save(out, "PNG")
    return insert(out.getvalue(), manifest_of(data))


def stripped_metadata(data: bytes) -> bytes:
    """Everything thrown away that is not needed to show the pixels, which are untouched.

    In AVIF the manifest alone: its XMP is an item among the picture's own.
    """
    if sniff(data) == "avif":
        return remove(data)
    if sniff(data) == "jpeg":
        kept = [one for one in jpeg_segments(data) if not 0xE1 <= one.type[0] <= 0xEF]
        return data[:2] + b"".join(data[one.start : one.end] for one in kept)
    if sniff(data) == "webp":
        [picture] = [one for one in webp_chunks(data) if one.type in {b"VP8 ", b"VP8L"}]
        body = data[picture.start : picture.end]
        return b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body
    out = bytearray(data[:8])
    for piece in png_chunks(data):
        if piece.type in {b"IHDR", b"PLTE", b"IDAT", b"IEND"}:
            out += data[piece.start : piece.end]
    return bytes(out)


def re_encoded(data: bytes, quality: int = 80) -> bytes:
    """Saved again as JPEG by a program that knows nothing of manifests."""
    out = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("RGB").save(out, "JPEG", quality=quality)
    return out.getvalue()


def cropped(data: bytes, fraction: float = 0.75) -> bytes:
    """The middle of the picture, saved as PNG."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    width, height = image.size
    dx, dy = int(width * (1 - fraction) / 2), int(height * (1 - fraction) / 2)
    out = io.BytesIO()
    image.crop((dx, dy, width - dx, height - dy)).save(out, "PNG")
    return out.getvalue()


def manifest_of(data: bytes) -> bytes:
    """Return the manifest store out of a PNG."""
    for piece in png_chunks(data):
        if piece.type == b"caBX":
            return data[piece.content : piece.end - 4]
    raise AssertionError("no manifest in this PNG")


def _rewrite(data: bytes, old: bytes, new: bytes) -> bytes:
    assert len(old) == len(new)
    out = bytearray(data[:8])
    changed = False
    for piece in png_chunks(data):
        content = data[piece.content : piece.end - 4]
        if piece.type == b"caBX":
            changed = old in content
            content = content.replace(old, new)
        out += png_chunk(piece.type, content)
    assert changed, f"{old!r} is not in the manifest"
    return bytes(out)


def tampered_parent(data: bytes, edit: Callable[[bytes], bytes]) -> bytes:
    """An honest edit of a picture that somebody had changed after it was signed."""
    return edit(changed_pixels(data))


def re_signed_without_parent(data: bytes, source_type: str = "digitalCapture") -> bytes:
    """The pixels taken for a camera's own, by a signer who says nothing of where they are from."""
    return Outsider(name="Launderer").sign(stripped_metadata(data), source_type=source_type)


def outlived(
    use: Callable[[Outsider], T], make: Callable[..., Outsider] | None = None, **options: Any
) -> tuple[T, Outsider]:
    """Return what was made with a certificate while it was valid, once it has ended.

    A machine that is too slow for a certificate of one second gets one of two, and so on.

    Args:
        use: Does what takes a valid certificate; done again with a longer one where it was late.
        make: Issues; the class itself unless another does.
        options: Of the signer.
    """
    seconds = 1
    while True:
        short = (make or Outsider)(seconds=seconds, **options)
        end = short.leaf.not_valid_after_utc
        try:
            made = use(short)
        except Exception:
            if dt.datetime.now(dt.UTC) < end:
                raise
        else:
            if dt.datetime.now(dt.UTC) < end:
                break
        seconds *= 2
    while dt.datetime.now(dt.UTC) < end + dt.timedelta(seconds=1.6):
        time.sleep(0.1)  # the library compares whole seconds
    return made, short


def expired_without_time_stamp(data: bytes) -> tuple[bytes, Outsider]:
    """Signed with a certificate that has ended meanwhile, when nobody stamped the time."""
    return outlived(
        lambda short: short.sign(stripped_metadata(data), source_type="trainedAlgorithmicMedia"),
        name="Short-lived",
    )


def forged_issuer_name(data: bytes, source_type: str = "trainedAlgorithmicMedia") -> bytes:
    """A private root that gives itself the name of somebody well known."""
    forger = Outsider(organisation="OpenAI OpCo, LLC", name="OpenAI Media Service API")
    return forger.sign(stripped_metadata(data), source_type=source_type)


ALONE: dict[str, Callable[[bytes], bytes]] = {
    "appended_bytes": appended_bytes,
    "changed_source_type": changed_source_type,
    "swapped_issuer": swapped_issuer,
    "doubled_manifest": doubled_manifest,
    "truncated": truncated,
    "re_signed_without_parent": re_signed_without_parent,
    "forged_issuer_name": forged_issuer_name,
    "stripped_metadata": stripped_metadata,
    "re_encoded": re_encoded,
    "cropped": cropped,
}
"""Attacks that need the signed file alone."""


def every_attack(data: bytes, *, other: bytes, edit: Callable[[bytes], bytes]) -> dict[str, bytes]:
    """Return all thirteen attacks on a signed PNG, by name.

    Args:
        data: The signed PNG.
        other: Another PNG, unsigned.
        edit: Makes and signs an edit of the picture that it is given.
    """
    return {
        "transplanted_manifest": transplanted_manifest(data, other),
        "tampered_parent": tampered_parent(data, edit),
        "expired_without_time_stamp": expired_without_time_stamp(data)[0],
        **{name: attack(data) for name, attack in ALONE.items()},
    }


def write_every_attack(folder: Path) -> dict[str, Path]:
    """Sign a picture and write it, all attacks on it, and the root that it chains to."""
    import warnings

    from chopmark.provenance import (
        DevelopmentCredentialWarning,
        ManifestInfo,
        load_credential,
        sign,
    )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DevelopmentCredentialWarning)
        credential = load_credential(folder / "home")

    def made(*, parent: bytes | None = None) -> bytes:
        info = ManifestInfo(
            output_id="a3f09c1122334451",
            record_id="a3f09c1122334450",
            model_id="tiny",
            model_version="1",
            created_at=dt.datetime.now(dt.UTC),
            generator_version="1",
            action="created" if parent is None else "edited",
            parent=parent,
        )
        return sign(_noise(), "png", info, credential).data

    signed = made()
    files = every_attack(signed, other=_noise(), edit=lambda parent: made(parent=parent))
    paths: dict[str, Path] = {}
    for name, data in {"untouched": signed, **files}.items():
        paths[name] = folder / f"{name}.{sniff(data) or 'bin'}"
        paths[name].write_bytes(data)
    (folder / "root.pem").write_text(credential.own_anchor)
    return paths


def _noise() -> bytes:
    out = io.BytesIO()
    Image.effect_noise((96, 96), 60).convert("RGB").save(out, "PNG")
    return out.getvalue()


def main() -> None:
    """Write the attacks into a folder."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in write_every_attack(folder).items():
        print(f"{name:<28} {path}")  # noqa: T201 - a script's answer


if __name__ == "__main__":
    main()
