"""Write the content security policy of ``check.html`` into it: the digests of its script and style.

Run it after a change of the page. The policy lets the page run what is in it and reach nothing, so
it means the same where it is served and where it was saved.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "src" / "chopmark" / "web" / "static" / "check.html"


def policy_of(page: str) -> str:
    """Return the policy for the script and the style that stand in a page."""
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digests = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (script, style)
    ]
    return (
        f"default-src 'none'; script-src 'sha256-{digests[0]}'; style-src 'sha256-{digests[1]}';"
        " base-uri 'none'; form-action 'none'"
    )


def main() -> None:
    """Write the page anew."""
    page = PAGE.read_text(encoding="utf-8")
    told = re.sub(
        r'(http-equiv="Content-Security-Policy" content=")[^"]*',
        lambda found: found[1] + policy_of(page),
        page,
    )
    PAGE.write_text(told, encoding="utf-8")


if __name__ == "__main__":
    main()
