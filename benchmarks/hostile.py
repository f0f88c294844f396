"""Requests that would hurt others, at full size: ``python -m benchmarks.hostile``.

While each kind is under way, two watchers ask the same server over connections of their own: for
``/healthz``, and for another tenant's moderation of four words. Counted is the worst of each, from
the first hostile byte until some seconds after the last hostile answer, since work that goes on
after its answer hurts as well; and the memory of all processes over what they had before.

A kind whose answer does not come within ``--limit``, or that leaves the machine with less than 3
GB, is stopped by killing the server. A server that came out of a kind unharmed meets the next one
too; otherwise that one gets a fresh server. Everything is on loopback, on servers of our own.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import hostile_bodies as bodies
from benchmarks import servers
from benchmarks.hostile_wire import Outcome, exchange, half_sent
from benchmarks.processes import MemoryWatch, free_memory, memory
from benchmarks.report import write_section
from benchmarks.wire import form, json_post, post

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.servers import Running

MIB: Final = 2**20
LEAST_FREE: Final = 3 * 10**9
AFTER_S: Final = 2.0
#: What no hostile request may cost the others.
AIMS: Final = {"health_s": 0.25, "moderation_s": 2.0, "memory_mib": 1024}
GENERATE: Final = "/v1/images/generations"
CONNECTIONS: Final = 1500


@dataclass(frozen=True)
class Keys:
    """API keys of two tenants."""

    evil: str
    good: str


@dataclass(frozen=True)
class Attack:
    """One kind of hostile request.

    Attributes:
        name: What the table calls it.
        request: Makes the bytes, when its turn comes.
        copies: How many are sent at once.
        half: They are never sent to their end.
    """

    name: str
    request: Callable[[Keys], bytes]
    copies: int = 1
    half: bool = False


def attacks() -> Iterator[Attack]:
    """Yield every kind."""

    def prompt(text: str) -> Callable[[Keys], bytes]:
        return lambda keys: json_post(GENERATE, {"prompt": text}, key=keys.evil)

    def picture(path: str, make: Callable[[], bytes], *, key: bool = True) -> Callable[..., bytes]:
        words = {"prompt": "a red apple"} if path.endswith("edits") else {}
        return lambda keys: form(path, make(), key=keys.evil if key else "", **words)

    def raw(path: str, make: Callable[[], bytes]) -> Callable[[Keys], bytes]:
        return lambda _: post(path, make(), kind="application/json")

    yield Attack("prompt, one letter, 32,000", prompt("a" * 32_000))
    yield Attack("the same, three at once", prompt("a" * 32_000), copies=3)
    for name, unit in bodies.DISGUISES.items():
        if name == "one letter":
            continue
        yield Attack(f"prompt, {name}, 32,000", prompt(bodies.text(unit, 32_000)))
        fits = bodies.text(unit, 32_000, most_bytes=60_000)
        if len(fits) < 32_000:
            yield Attack(f"prompt, {name}, 60 kB", prompt(fits))
    for name, unit in bodies.ORDINARY.items():
        yield Attack(f"prompt, {name}, 2,000", prompt(bodies.text(unit, 2_000)))
        yield Attack(f"prompt, {name}, 60 kB", prompt(bodies.text(unit, 32_000, most_bytes=60_000)))
    four = {"input": ["a" * 15_000] * 4}
    many = {"input": [bodies.text("a red apple and ", 200)] * 256}
    yield Attack(
        "4 moderations of 15,000", lambda keys: json_post("/v1/moderations", four, key=keys.evil)
    )
    yield Attack(
        "256 moderations of 200", lambda keys: json_post("/v1/moderations", many, key=keys.evil)
    )
    vast = functools.cache(bodies.vast_png)
    yield Attack(
        "/verify/restored, 64 megapixels, four at once",
        picture("/verify/restored", vast, key=False),
        copies=4,
    )
    yield Attack("/verify, the same, three", picture("/verify", vast, key=False), copies=3)
    yield Attack("/api/v1/verify, the same, four", picture("/api/v1/verify", vast), copies=4)
    yield Attack("edit, the same, four", picture("/v1/images/edits", vast), copies=4)
    for name, make in {
        "PNG of a million chunks": functools.cache(bodies.many_chunks),
        "WebP of 1,000 frames of 16 megapixels": functools.cache(bodies.webp_bomb),
        "GIF of 500 frames of 16 megapixels": functools.cache(bodies.gif_bomb),
        "JUMBF 50,000 deep": functools.cache(bodies.deep_jumbf),
    }.items():
        yield Attack(f"/api/v1/verify, {name}", picture("/api/v1/verify", make))
        yield Attack(f"/verify, {name}", picture("/verify", make, key=False))
        yield Attack(f"edit, {name}", picture("/v1/images/edits", make))
    for path in ("/api/v1/appeals", "/api/v1/session"):
        yield Attack(
            f"{path}, 45 MB of empty lists", raw(path, lambda: bodies.empty_lists(15_000_000))
        )
        yield Attack(
            f"{path}, 3.5 million members", raw(path, lambda: bodies.many_members(3_500_000))
        )
    yield Attack(
        "prompt, lists 30,000 deep",
        lambda keys: post(GENERATE, bodies.nested(30_000), kind="application/json", key=keys.evil),
    )
    yield Attack(
        "prompt, lists 10 million deep",
        lambda keys: post(
            GENERATE, bodies.nested(10_000_000), kind="application/json", key=keys.evil
        ),
    )
    part = b'{"decision_id":"' + b"0" * 20_000
    yield Attack(
        "1,500 half-sent bodies",
        lambda _: post("/api/v1/appeals", part, kind="application/json", length=60_000),
        copies=CONNECTIONS,
        half=True,
    )
    yield Attack(
        "1,500 half-sent pictures",
        lambda _: form("/verify", bytes(30_000))[:-1000],
        copies=CONNECTIONS,
        half=True,
    )
    yield Attack(
        "1,500 half-sent headers",
        lambda _: b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nx-a: ",
        copies=CONNECTIONS,
        half=True,
    )


class Watcher:
    """Sends the same request again and again, and keeps the longest time it took.

    Attributes:
        worst_s: Seconds.
        failed: Answers that were no 200, and connections that broke.
    """

    def __init__(self, port: int, request: bytes, *, limit_s: float) -> None:
        self.worst_s = 0.0
        self.failed = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._watch, args=(port, request, limit_s), daemon=True
        )
        self._thread.start()

    def _watch(self, port: int, request: bytes, limit_s: float) -> None:
        while not self._stop.is_set():
            outcome = exchange(port, request, limit_s=limit_s)
            self.worst_s = max(self.worst_s, outcome.seconds)
            self.failed += not outcome.said.startswith("200")
            self._stop.wait(0.05)

    def stop(self) -> None:
        """Stop when the request that is under way has ended."""
        self._stop.set()
        self._thread.join()


@dataclass
class Row:
    """What came of one kind."""

    attack: Attack
    said: str = ""
    seconds: float = 0.0
    health_s: float = 0.0
    moderation_s: float = 0.0
    failed: int = 0
    over_pss: int = 0
    over_rss: int = 0
    harmed: bool = field(default=False)

    @property
    def met(self) -> bool:
        """Tell whether the others were spared."""
        return (
            self.health_s <= AIMS["health_s"]
            and self.moderation_s <= AIMS["moderation_s"]
            and self.over_pss <= AIMS["memory_mib"] * MIB
            and not self.failed
            and not self.harmed
        )

    def line(self) -> str:
        """Return its line of the table."""
        health_ms = 1000 * self.health_s
        return (
            f"| {self.attack.name} | {self.said} | {self.seconds:.1f} | {health_ms:.0f} |"
            f" {self.moderation_s:.2f} | {self.failed} | {self.over_pss / MIB:.0f} |"
            f" {self.over_rss / MIB:.0f} | {'yes' if self.met else 'NO'} |"
        )


HEAD: Final = (
    "| request | answers | seconds until the last | healthz, worst ms | another tenant's"
    " moderation, worst s | of these failed | memory over idle MiB | sum of RSS over idle | aims"
    " met |",
    "|---|---|---|---|---|---|---|---|---|",
)


def endure(server: Running, keys: Keys, attack: Attack, *, limit_s: float) -> Row:
    """Send one kind to a server and watch it."""
    request = attack.request(keys)
    row = Row(attack)
    before = memory(server.pid)
    health = Watcher(
        server.port, b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n", limit_s=limit_s
    )
    words = json_post("/v1/moderations", {"input": "a red apple"}, key=keys.good)
    other = Watcher(server.port, words, limit_s=limit_s)
    outcomes: list[Outcome] = []

    def send() -> None:
        outcomes.append(exchange(server.port, request, limit_s=limit_s))

    def send_half() -> None:
        outcomes.extend(half_sent(server.port, request, attack.copies, limit_s=limit_s))

    targets = [send_half] if attack.half else [send] * attack.copies
    began = time.perf_counter()
    with MemoryWatch(server.pid) as watch:
        senders = [threading.Thread(target=target, daemon=True) for target in targets]
        for sender in senders:
            sender.start()
        while any(sender.is_alive() for sender in senders):
            time.sleep(0.1)
            if free_memory() < LEAST_FREE:
                row.harmed = True
                server.kill()
                break
        row.seconds = max(
            (outcome.seconds for outcome in outcomes), default=time.perf_counter() - began
        )
        time.sleep(0 if row.harmed else AFTER_S)
        if any("no answer" in outcome.said for outcome in outcomes) and not attack.half:
            row.harmed = True
            server.kill()
        for watcher in (health, other):
            watcher.stop()
        for sender in senders:
            sender.join()
    told = Counter(outcome.said for outcome in outcomes)
    row.said = ", ".join(f"{n} x {said}" if n > 1 else said for said, n in told.most_common())
    if row.harmed:
        row.said += "; the server was killed"
    row.health_s, row.moderation_s = health.worst_s, other.worst_s
    row.failed = health.failed + other.failed
    row.over_pss = max(0, watch.peak.pss - before.pss)
    row.over_rss = max(0, watch.peak.rss - before.rss)
    # What is not given back is no longer idle: the next kind must not start from there.
    row.harmed |= not row.met or memory(server.pid).pss - before.pss > 256 * MIB
    return row


@contextlib.contextmanager
def fresh(
    folder: Path, arguments: Sequence[str], source: Path | None
) -> Iterator[tuple[Running, Keys]]:
    """Run a server with two tenants, every part of which was used once."""
    home = folder / "home"
    scopes = ("generate", "moderate", "verify")
    keys = Keys(
        *(servers.make_key(home, name, *scopes, source=source) for name in ("evil", "good"))
    )
    # The pages for everybody are open: closed ones would refuse for another reason.
    with servers.chopmark(
        home,
        arguments=arguments,
        environment={"CHOPMARK_PUBLIC_VERIFY": "true"},
        source=source,
    ) as server:
        words = json_post("/v1/moderations", {"input": "a red apple"}, key=keys.good)
        small = bodies.many_chunks(1)
        for request in (
            words,
            json_post(GENERATE, {"prompt": "a red apple"}, key=keys.good),
            form("/api/v1/verify", small, key=keys.good),
        ):
            outcome = exchange(server.port, request, limit_s=120)
            if not outcome.said.startswith("200"):
                raise SystemExit(f"the server is not well: {outcome.said}")
        yield server, keys


def measure(
    wanted: Sequence[Attack], *, limit_s: float, arguments: Sequence[str], source: Path | None
) -> list[Row]:
    """Send each kind; a server that was harmed is replaced."""
    rows: list[Row] = []
    left = list(wanted)
    while left:
        with (
            tempfile.TemporaryDirectory() as folder,
            fresh(Path(folder), arguments, source) as (server, keys),
        ):
            while left:
                rows.append(endure(server, keys, left.pop(0), limit_s=limit_s))
                print(rows[-1].line(), flush=True)
                if rows[-1].harmed or server.process.poll() is not None:
                    break
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kind", action="append", help="part of a kind's name; again for more")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds that an answer may take")
    parser.add_argument("--workers", help="as for `chopmark serve`")
    parser.add_argument("--before", type=Path, help="`src` of another checkout to run")
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    kinds = options.kind or [""]
    wanted = [one for one in attacks() if any(kind in one.name for kind in kinds)]
    if options.list or not wanted:
        print("\n".join(one.name for one in (wanted or attacks())))
        return
    servers.end_with_servers()
    began = time.monotonic()
    arguments = [] if options.workers is None else ["--workers", options.workers]
    print("\n".join(HEAD), flush=True)
    rows = measure(wanted, limit_s=options.limit, arguments=arguments, source=options.before)
    text = "\n".join([*HEAD, *(row.line() for row in rows), "", _remarks(rows)])
    print(f"\n{_remarks(rows)}\n{time.monotonic() - began:.0f} s in all")
    if options.write:
        command = f"python -m benchmarks.hostile --limit {options.limit:g} --write"
        write_section("hostile", text, command=command)


def _remarks(rows: Sequence[Row]) -> str:
    missed = sum(not row.met for row in rows)
    return (
        f"Aims, of which {missed} of {len(rows)} kinds miss one: `/healthz` within"
        f" {1000 * AIMS['health_s']:.0f} ms, another tenant's moderation within"
        f" {AIMS['moderation_s']:g} s, at most {AIMS['memory_mib']} MiB over idle, and none of"
        " their requests fails. Memory is the proportional set of all of the server's processes."
        " Sizes that are given in kB are what fits into one request without pictures. The half-sent"
        " ones are watched until the server has ended the last of them, or the limit."
    )


if __name__ == "__main__":
    main()
