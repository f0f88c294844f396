"""The inside of the generator's process: ``python -m chopmark.workers.generator_main FD``."""

from __future__ import annotations

import logging
import pickle
import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any

from chopmark.errors import ChopmarkError, GenerationFailed
from chopmark.workers import wire

if TYPE_CHECKING:
    from chopmark.generation import GenerationJob, Generator

__all__ = ["main"]

_LOG = logging.getLogger(__name__)


def main() -> None:
    """Load the model, say so, then make what is asked for until the other end is gone."""
    sock = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who gives us the work
    sending = threading.Lock()

    def send(message: Any, buffers: list[bytes] | None = None) -> None:
        body = pickle.dumps(message)
        with sending:
            wire.send(sock, body, buffers or ())

    try:
        generator = _load(sock, send)
        if generator is not None:
            _serve(sock, send, generator)
    except wire.Broken:
        return


def _load(sock: socket.socket, send: Any) -> Generator | None:
    settings = pickle.loads(wire.receive(sock)[0])  # noqa: S301  from whom we serve
    try:
        from chopmark.plugins.builtin import all_plugins

        generator = all_plugins(others=settings.plugins).generator(
            settings, lambda *news: send(("unpacking", news))
        )
        info = generator.info
    except Exception as error:  # noqa: BLE001  told to whoever started us
        _LOG.debug("the model does not load", exc_info=True)
        send(("error", _sendable(error)))
        return None
    send(("loaded", info))
    return generator


def _serve(sock: socket.socket, send: Any, generator: Generator) -> None:
    """Run each job in a thread of its own: the generator itself puts them in batches."""
    stops: dict[int, threading.Event] = {}
    while True:
        what, number, value = pickle.loads(wire.receive(sock)[0])  # noqa: S301  from whom we serve
        if what == "cancel":
            stop = stops.get(number)
            if stop is not None:
                stop.set()
            continue
        stop = stops[number] = threading.Event()

        def work(
            what: str = what, number: int = number, value: Any = value,
            stop: threading.Event = stop,
        ) -> None:  # fmt: skip
            try:
                if what == "warm_up":
                    warm_up = getattr(generator, "warm_up", None)
                    if warm_up is not None:
                        warm_up()
                    send(("done", number, None))
                else:
                    _generate(generator, send, number, stop, *value)
            except wire.Broken:
                return
            except Exception as error:  # noqa: BLE001  told to whoever waits
                if not isinstance(error, ChopmarkError):
                    _LOG.exception("the generator failed")
                send(("error", number, _sendable(error)))
            finally:
                stops.pop(number, None)

        threading.Thread(target=work, daemon=True, name=f"chopmark-job-{number}").start()


def _generate(
    generator: Generator,
    send: Any,
    number: int,
    stop: threading.Event,
    job: GenerationJob,
    wants_drafts: bool,  # noqa: FBT001  as it came
) -> None:
    from chopmark.generation import batch_size

    pictures = generator.generate(
        job,
        progress=lambda done, total: send(("step", number, (done, total))),
        cancelled=stop.is_set,
        draft=(lambda draft: send(("draft", number, draft))) if wants_drafts else None,
    )
    whats = [(one.mode, one.size, batch_size(one)) for one in pictures]
    send(("done", number, whats), [one.tobytes() for one in pictures])


def _sendable(error: Exception) -> Exception:
    """Return the error as it is where that can be, else its words."""
    if isinstance(error, ChopmarkError):
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301  our own
        except Exception:  # noqa: BLE001  an error with a constructor of its own
            return GenerationFailed(error.message, hint=error.hint)
        return error
    return GenerationFailed(f"the model failed: {type(error).__name__}")


if __name__ == "__main__":
    main()
