"""The training code of the embedded model; needs ``pip install -e '.[train]'`` and npm."""
