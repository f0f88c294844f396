"""The training code of the embedded model; needs ``pip install 'chopmark[train]'`` and npm."""
