"""A ceiling for the memory of a model: said before it loads, and kept while it runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chopmark.errors import ModelLoadError

if TYPE_CHECKING:
    from collections.abc import Iterable

_MIB: Final = 2**20
#: Bytes of a weight in the file against bytes in memory, by dtype: files mostly hold two bytes.
_BYTES: Final = {"float32": 4, "bfloat16": 2, "float16": 2}


def check_before(files: Iterable[Path], *, dtype: str, limit_mb: int) -> None:
    """Refuse a model whose weights alone would be over the limit.

    Args:
        files: its safetensors files; only their headers are read.
        dtype: in which the weights will be held.
        limit_mb: MiB; 0 for no limit.

    Raises:
        ModelLoadError: They need more than ``limit_mb``.
    """
    if limit_mb <= 0:
        return
    needed = sum(numbers_in(file) for file in files) * _BYTES[dtype] // _MIB
    if needed > limit_mb:
        raise ModelLoadError(
            f"the weights need about {needed} MiB as {dtype}, over the ceiling of {limit_mb} MiB",
            hint="raise CHOPMARK_MEMORY_LIMIT_MB, take a shorter dtype, or a smaller model",
        )


def check_after(*, device: str, limit_mb: int) -> None:
    """Refuse to go on when loading brought the process over the limit; fence a GPU's share.

    Raises:
        ModelLoadError: The process holds more than ``limit_mb``.
    """
    if limit_mb <= 0:
        return
    if device.startswith("cuda"):
        import torch

        total = torch.cuda.get_device_properties(device).total_memory
        # From here on torch itself raises where a call would take more.
        # It takes no device without a number.
        number = torch.device(device).index
        number = torch.cuda.current_device() if number is None else number
        torch.cuda.set_per_process_memory_fraction(min(1.0, limit_mb * _MIB / total), number)
        return
    held = resident_mb()
    if held > limit_mb:
        raise ModelLoadError(
            f"with the model loaded the process holds {held} MiB, over the ceiling of"
            f" {limit_mb} MiB",
            hint="raise CHOPMARK_MEMORY_LIMIT_MB, or choose a smaller model or quantization",
        )


def keep_freed_memory() -> bool:
    """Tell the C library to keep what is freed for the next picture, up to 512 MiB.

    By default large blocks go back to the system at once and come again page by page, zeroed: that
    was a tenth of the time of an embedded picture on a CPU and a third of that of a batch of eight.
    It concerns the whole process: ``load_generator`` does it, ``DiffusersGenerator.load`` does not.
    Who chose otherwise in the environment (``MALLOC_*``, ``GLIBC_TUNABLES``) is not overruled.

    Returns:
        Whether it was done; other C libraries than glibc have no such choice.
    """
    chosen = any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ)
    if chosen or os.name != "posix":
        return False
    import ctypes

    choose = getattr(ctypes.CDLL(None), "mallopt", None)
    if choose is None:
        return False
    # malloc.h: M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, and M_ARENA_MAX, since a thread's own arena
    # holds no large blocks.
    wanted = ((-3, 256 * _MIB), (-1, 512 * _MIB), (-8, 1))
    return [choose(option, value) for option, value in wanted] == [1, 1, 1]


def resident_mb() -> int:
    """Return how much memory this process holds, in MiB; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    import resource

    return pages * resource.getpagesize() // _MIB


def numbers_in(file: Path) -> int:
    """Return how many weights a safetensors file holds; only its header is read.

    Raises:
        ModelLoadError: It is no safetensors file.
    """
    import math

    return sum(map(math.prod, shapes_in(file).values()))


def shapes_in(file: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor in a safetensors file; only its header is read.

    Raises:
        ModelLoadError: It is no safetensors file.
    """
    import json

    # safetensors: eight bytes with the header's length, then JSON that names every tensor's shape.
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(min(length, 64 * _MIB)))
        return {
            str(name): tuple(map(int, entry["shape"]))
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelLoadError(f"{file} is no safetensors file: {error}") from error
