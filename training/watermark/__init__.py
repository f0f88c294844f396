"""How the watermark's listener was trained; see :mod:`training.watermark.__main__`."""
