"""How the picture heads and the symbol network were made; not in the wheel."""
