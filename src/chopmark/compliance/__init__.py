"""What this installation does for the rules of one jurisdiction, written down and signed.

>>> from chopmark.compliance import FIGURES
>>> FIGURES["undressing_edits"].value
'86.9 % flagged (95 % interval 76 to 93)'

A report states what is configured, which tests and figures bear on it, and which duties are open.
It judges nothing: whether a rule is kept is for those to say whose duty it is.
"""

from __future__ import annotations

from chopmark.compliance.figures import FIGURES, Figure
from chopmark.compliance.page import page_of
from chopmark.compliance.report import CheckedCompliance, check, claims_of, sign

__all__ = ["FIGURES", "CheckedCompliance", "Figure", "check", "claims_of", "page_of", "sign"]
