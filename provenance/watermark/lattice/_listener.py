"""A small network that hears the mark where a picture drowns it.

:func:`~chopmark.provenance.watermark.lattice._frame.residual` takes content out with two Gaussians;
what edges leave in it is most of what a reader hears after a lossy file. This network was shown
pieces of marked pictures after such files, each under a key of its own, and what the pattern was
there; it learned what edges, blocks and ringing look like and leaves them out. It knows no key: it
sees a window of some fifty pixels, and what it gives depends on the picture alone, as the detection
bound asks of all that comes before the payload signs (``_statistic``).

``python -m training.watermark`` trains it; ``weights/listener.json`` says with what.
"""

from __future__ import annotations

import hashlib
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from chopmark.errors import ConfigurationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chopmark.provenance.watermark._pixels import Plane

__all__ = ["WEIGHTS", "features", "heard"]

WEIGHTS: Final = Path(__file__).parent / "weights" / "listener.onnx"
_SHA256: Final = "b0d35f11e975387150d657673d80ccbbbe61a04505e548bb6c159a1d72a48ad3"
_BLUR, _UNIT, _MOST = 6.0, 16.0, 4.0
_AROUND = 6.0
_LOCK = threading.Lock()


def heard(frame: Plane) -> Plane:
    """Return what the network hears of a mark, in place of the frame's residual.

    Args:
        frame: In grey levels, shape (H, W).

    Returns:
        Shape (H, W), no unit: large where the mark is plain, small where it is not.

    Raises:
        ConfigurationError: The weights are missing or others.
    """
    height, width = frame.shape
    even = cv2.copyMakeBorder(frame, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    (plane,) = _session().run(None, {"features": features(even)[None]})
    said = np.ascontiguousarray(plane[0, 0, :height, :width], np.float32)
    # Where it says more it is surer; weighed by that once more, z is a tenth more on flat graphics.
    return np.asarray(said * np.sqrt(cv2.GaussianBlur(said * said, (0, 0), _AROUND)), np.float32)


def features(frame: Plane) -> NDArray[np.float32]:
    """Return what the network is shown of a frame with even sides, shape (5, H/2, W/2).

    The detail of the four pixels of each 2 x 2 square, and how light it is there.
    """
    detail = (frame - cv2.GaussianBlur(frame, (0, 0), _BLUR)) / _UNIT
    detail = np.clip(detail, -_MOST, _MOST)
    small = cv2.resize(frame, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) / 64 - 2
    corners = [detail[down::2, across::2] for down in (0, 1) for across in (0, 1)]
    return np.stack([*corners, small]).astype(np.float32)


def _session() -> Any:
    with _LOCK:  # two threads that come first would load it twice
        return _opened()


@cache
def _opened() -> Any:
    import onnxruntime  # what strikes and reads without it need not wait for it

    try:
        data = WEIGHTS.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"the watermark's weights cannot be read: {error}", hint="install Chopmark again"
        ) from error
    if hashlib.sha256(data).hexdigest() != _SHA256:
        raise ConfigurationError(
            f"{WEIGHTS.name} is not the file that this version was made with",
            hint="install Chopmark again",
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
