"""What the console says after something was done: known sentences, named in the address by a code.

The page after a form is fetched by a redirect, so that reloading it does not do the thing again.
Its address carries a code and counts, never words: a link that somebody sends cannot put a text of
theirs on a page of the console. One on another site's page says nothing at all.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from fastapi.responses import RedirectResponse

from chopmark.errors import AccessError
from chopmark.service.deployment import the_service
from chopmark.service.origin import check_origin

if TYPE_CHECKING:
    from fastapi import Request, Response

__all__ = ["after", "from_here", "notice_code", "notice_of"]

_SENTENCES: Final = {
    "agreed": "Done: entry {} of the log.",
    "another-eraser": "Another eraser must agree.",
    "another-investigator": "Another investigator must agree.",
    "decided": "{} decided.",
    "decided-some": "{} decided, {} not: somebody else has them.",
    "demanded": "It waits in the queue for takedowns.",
    "exception-ended": "The prompt is judged by the policy again.",
    "golden": "The policy has {} golden cases of the desk now.",
    "held": "The hold stands.",
    "listed": "{} new on the list, which has {} now.",
    "noted": "Your note is on the record.",
    "released": "Released.",
    "restored": "The withdrawal is taken back.",
    "withdrawn": "Its pictures are withdrawn.",
}
_SHAPE: Final = re.compile(r"([a-z-]{1,30})((?:\.[0-9]{1,12})*)")


def after(path: str, code: str, *counts: int, why: str = "") -> Response:
    """Return the way to a page that says what was done.

    Args:
        path: Of the page.
        code: Which sentence.
        counts: What stands in it.
        why: For what an investigator has the page open.
    """
    done = ".".join([code, *map(str, counts)])
    query = urlencode({"done": done} | ({"why": why} if why else {}))
    return RedirectResponse(f"{path}?{query}", status_code=303)


def notice_code(request: Request) -> str:
    """Return which sentence a page's address names; empty where none, or where it came from."""
    found = _SHAPE.fullmatch(request.query_params.get("done", ""))
    known = found is not None and found[1] in _SENTENCES
    return found[1] if known and found is not None and from_here(request) else ""


def notice_of(request: Request) -> str:
    """Return what a page says was done, empty for nothing."""
    sentence = _SENTENCES.get(notice_code(request), "")
    counts = request.query_params.get("done", "").split(".")[1:]
    return sentence.format(*counts) if sentence.count("{}") == len(counts) else ""


def from_here(request: Request) -> bool:
    """Tell whether nothing says that another site's page led to an address."""
    try:
        check_origin(request.headers, own=the_service(request).pipeline.settings.public_url)
    except AccessError:
        return False
    return True
