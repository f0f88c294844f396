"""What an edit's pictures were asked for before, where we made them: a chain is judged as a sum.

Four harmless steps can lead where one would have been refused. Nothing is copied for it: each
record names the records that its pictures came from, and the prompts are read where they lie, so
that whoever is erased is gone from every chain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chopmark.errors import RecordNotFound
from chopmark.kit import limits
from chopmark.pipeline.inspect import examine
from chopmark.pipeline.request import EditRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.pipeline.parts import Parts
    from chopmark.pipeline.request import GenerationRequest, SealRequest

__all__ = ["NO_CHAIN", "EditChain", "chain_of"]

#: Records that are looked back at; what is longer is no longer one wish.
_MOST: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class EditChain:
    """What was asked for before.

    Attributes:
        parents: The records that the pictures of this request came from.
        prompts: What these and the ones before them asked for, the oldest first.
    """

    parents: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()

    def texts_with(self, prompt: str) -> Iterator[str]:
        """Yield the whole chain with its last step, in texts that are judged to the last letter.

        A chain that is too long for one text is judged in several; the last step is in each.
        """
        text = prompt
        for before in reversed(self.prompts):
            if len(before) + 1 + len(text) > limits.TEXT.most:
                if text != prompt:
                    yield text
                text = prompt
            if len(before) + 1 + len(text) <= limits.TEXT.most:
                text = f"{before}\n{text}"
        if text != prompt:
            yield text


NO_CHAIN: Final = EditChain()


def chain_of(parts: Parts, request: GenerationRequest | SealRequest, *, tenant: str) -> EditChain:
    """Return the chain of an edit; of another tenant's records nothing is read.

    Raises:
        ChopmarkError: A picture could not be looked at, or the log not be read.
    """
    if not isinstance(request, EditRequest):
        return NO_CHAIN
    parents: list[str] = []
    for data in request.pictures:
        record = examine(parts, data).record
        if record is not None and record["record_id"] not in parents:
            parents.append(str(record["record_id"]))
    return EditChain(parents=tuple(parents), prompts=tuple(_prompts(parts, parents, tenant)))


def _prompts(parts: Parts, parents: list[str], tenant: str) -> list[str]:
    log, found = parts.request_log, list[str]()
    todo, seen = list(parents), set(parents)
    while todo and len(seen) <= _MOST:
        record_id = todo.pop(0)
        try:
            records = log.records(record_id)
        except RecordNotFound:
            continue
        if any(record.tenant != tenant for record in records):
            continue
        for record in records:
            if record.kind not in {"request.received", "request.decided"}:
                continue
            private = log.private(record.index) or {}
            texts = [private.get("prompt"), private.get("negative_prompt")]
            found += [text for text in texts if isinstance(text, str) and text.strip()]
            before = private.get("parents")
            for each in before if isinstance(before, list) else ():
                if isinstance(each, str) and each not in seen:
                    seen.add(each)
                    todo.append(each)
    return found[::-1]
