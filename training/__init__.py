"""How the shipped weights were made; in the repository, not in the wheel.

``python -m training.generation`` trains the embedded model, ``python -m training.safety`` the
guard's head. Both want the extra ``train``.
"""
