"""Sign, read, verify and recover, beside plain c2pa-python in the same run.

``python -m benchmarks.provenance`` prints the tables and writes the section of
``docs/benchmarks.md``; ``--fuzz 100000`` runs that many mutated files through the reader too;
``--quick`` takes a fifth of everything and writes nothing. With ``--keep FILE --minutes 9`` it
stops after so long with exit code 75, and the next call with the same FILE goes on from there.
``--only fuzz`` runs one part, and puts it in the place that it has in the section.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import datetime as dt
import io
import json
import statistics
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import c2pa
import numpy as np
from PIL import ImageOps

from benchmarks.file_kinds import kinds
from benchmarks.report import write_part, write_section
from chopmark.errors import ChopmarkError
from chopmark.provenance import (
    Credential,
    DevelopmentCredentialWarning,
    ManifestInfo,
    ManifestStore,
    embed_mark,
    encode_image,
    fingerprint,
    load_anchors,
    load_credential,
    load_mark_keys,
    sign,
    verify,
)
from chopmark.safety import decode_views

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from chopmark.kit.types import ImageFormat

T = TypeVar("T")
FORMATS: tuple[ImageFormat, ...] = ("png", "jpeg", "webp", "avif")
MADE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fuzz", type=int, default=0, metavar="N")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--keep", type=Path, help="what is done is kept here, and not done again")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--only", help="this part alone, as `fuzz`")
    options = parser.parse_args()
    warnings.simplefilter("ignore", DevelopmentCredentialWarning)
    scale = 5 if options.quick else 1
    sizes = (10_000, 100_000) + (() if scale > 1 else (1_000_000,))
    run = Run(options.keep, options.minutes)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        credential = load_credential(home)
        parts: dict[str, Callable[[], str]] = {
            "signing": lambda: signing(credential, rounds=40 // scale),
            "reading": lambda: reading(home, credential, rounds=20 // scale),
            "threads": lambda: threads(credential, count=120 // scale),
            "store": lambda: store(home / "store", sizes=sizes),
            "recovery": lambda: recovery(home, credential, count=20 // scale),
            "kinds": lambda: kinds(home, scene(3, 1024, 1024), rounds=20 // scale),
        }
        if options.fuzz:
            parts["fuzz"] = lambda: fuzz(home, credential, options.fuzz, run)
        for name in (options.only,) if options.only else parts:
            run.part(name, parts[name])
    command = "python -m benchmarks.provenance"
    command += f" --fuzz {options.fuzz}" if options.fuzz else ""
    if options.only:
        print(run.done[options.only])
        if not options.quick:
            command += f" --only {options.only}"
            write_part("provenance", run.done[options.only], command=command)
        return
    text = "\n\n".join(run.done[name] for name in parts if name in run.done)
    print(text)
    if not options.quick:
        write_section("provenance", text, command=command)


class Run:
    """What is done so far, in a file that the next call reads."""

    def __init__(self, keep: Path | None, minutes: float) -> None:
        self._keep = keep
        self._end = time.monotonic() + 60 * minutes
        kept = json.loads(keep.read_text()) if keep is not None and keep.exists() else {}
        self.done: dict[str, str] = kept.get("done", {})
        self.fuzzed: dict[str, Any] = kept.get("fuzzed", {})

    def part(self, name: str, work: Callable[[], str]) -> None:
        """Do a part that was not done yet, if there is time."""
        if name in self.done:
            return
        self.pause_if_late()
        print(f"{name} ...", file=sys.stderr)
        self.done[name] = work()
        self.save()

    def save(self) -> None:
        """Keep what is done."""
        if self._keep is not None:
            self._keep.write_text(json.dumps({"done": self.done, "fuzzed": self.fuzzed}))

    def pause_if_late(self) -> None:
        """End the program when its time is over; the next call goes on."""
        if time.monotonic() > self._end:
            self.save()
            sys.exit(75)


def scene(seed: int, width: int, height: int) -> Image.Image:
    """Draw a picture with edges, gradients and grain, another for each seed."""
    from PIL import Image as Pillow

    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    base = np.stack([x, y, 1 - x], axis=-1) * rng.uniform(60, 120) + rng.uniform(30, 80)
    for _ in range(14):
        cx, cy, r = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.04, 0.25)
        base[(x - cx) ** 2 + (y - cy) ** 2 < r**2] = rng.uniform(20, 235, 3)
    base += rng.normal(0, 3, (height, width, 1))
    return Pillow.fromarray(np.clip(base, 0, 255).astype(np.uint8))


def info(output: int = 1, payload: bytes = bytes(8), pdq: str = "0f" * 32) -> ManifestInfo:
    record = f"{output:015x}0"
    return ManifestInfo(
        output_id=record[:-1] + "1",
        record_id=record,
        model_id="benchmark",
        model_version="1",
        created_at=dt.datetime.now(dt.UTC),
        generator_version="0.1.0",
        mark_method="lattice",
        mark_payload=payload,
        pdq=pdq,
    )


class Clock:
    """Wall and processor time of calls, in milliseconds; the median is what is shown."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def time(self, work: Callable[[], T]) -> T:
        """Do the work once, and note what it took."""
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        self.wall.append((time.perf_counter() - wall) * 1e3)
        self.cpu.append((time.process_time() - cpu) * 1e3)
        return result

    def __str__(self) -> str:
        return f"{statistics.median(self.cpu):.1f} / {statistics.median(self.wall):.1f}"

    @property
    def median(self) -> float:
        """CPU milliseconds."""
        return statistics.median(self.cpu)


def plain_signer(credential: Credential) -> c2pa.Signer:
    return c2pa.Signer.from_info(
        c2pa.C2paSignerInfo(
            credential.alg, credential.chain_pem.encode(), credential.key_pem or b"", None
        )
    )


def plain_sign(data: bytes, mime: str, signer: c2pa.Signer) -> bytes:
    """What somebody writes who follows c2pa-python's own example: its defaults."""
    action = {"action": "c2pa.created", "digitalSourceType": MADE}
    definition = {
        "claim_generator_info": [{"name": "plain", "version": "1"}],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
    }
    out = io.BytesIO()
    c2pa.Builder(definition, context=c2pa.Context()).sign(signer, mime, io.BytesIO(data), out)
    return out.getvalue()


def plain_read(data: bytes, mime: str) -> str:
    text: str = c2pa.Reader(mime, io.BytesIO(data)).json()
    return text


def signing(credential: Credential, *, rounds: int) -> str:
    signer = plain_signer(credential)
    picture = scene(1, 1024, 1024)
    rows = [
        "### Signing, 1024 x 1024 pixels",
        "",
        "CPU / wall milliseconds, medians. *Ours* is `sign`: the whole manifest with soft "
        "bindings, then read back and validated. *Plain* is c2pa-python's own example with its "
        "defaults (thumbnail, one action), not read back. The aim is 15 ms of CPU and 5,000 bytes.",
        "",
        "| format | ours | plain | CPU ratio | bytes added, ours | bytes added, plain |",
        "|---|---|---|---|---|---|",
    ]
    for fmt in FORMATS:
        data, mime = encode_image(picture, fmt), f"image/{fmt}"
        ours, plain = Clock(), Clock()
        for _ in range(rounds):
            signed = ours.time(partial(sign, data, fmt, info(), credential))
            other = plain.time(partial(plain_sign, data, mime, signer))
        rows.append(
            f"| {fmt} | {ours} | {plain} | {ours.median / plain.median:.2f} "
            f"| {len(signed.data) - len(data):,} | {len(other) - len(data):,} |"
        )
    return "\n".join(rows)


def reading(home: Path, credential: Credential, *, rounds: int) -> str:
    anchors, keys = load_anchors(home), load_mark_keys(home)
    rows = [
        "### Reading and verifying, 1024 x 1024 pixels",
        "",
        "CPU / wall milliseconds, medians. *Plain* is c2pa-python's `Reader` with its defaults. "
        "*Report* is `verify` with all axes but the watermark (it decodes the pixels), *with mark* "
        "looks for ours too and finds it, *unmarked* looks and finds none. The ratio is report to "
        "plain, of CPU: `Reader` decodes no pixels.",
        "",
        "| format | plain | report | CPU ratio | with mark | unmarked, unsigned |",
        "|---|---|---|---|---|---|",
    ]
    payload = bytes.fromhex("0000000000000011")
    marked = embed_mark(scene(1, 1024, 1024), payload, key=keys.active)
    for fmt in FORMATS:
        mime = f"image/{fmt}"
        bare = encode_image(scene(3, 1024, 1024), fmt)
        data = sign(encode_image(marked, fmt), fmt, info(1, payload), credential).data
        plain, report, full, none = Clock(), Clock(), Clock(), Clock()
        for number in range(rounds):
            plain.time(partial(plain_read, data, mime))
            report.time(partial(verify, data, anchors=anchors))
            if number < max(2, rounds // 4):
                found = full.time(partial(verify, data, anchors=anchors, mark_keys=keys.all))
                assert found.watermark.state == "detected"
                none.time(partial(verify, bare, anchors=anchors, mark_keys=keys.all))
        ratio = report.median / plain.median
        rows.append(f"| {fmt} | {plain} | {report} | {ratio:.1f} | {full} | {none} |")
    return "\n".join(rows)


def threads(credential: Credential, *, count: int) -> str:
    data = encode_image(scene(1, 1024, 1024), "jpeg")
    rows = [
        "### Threads",
        "",
        "JPEG of 1024 pixels signed and read back, one process, one shared context.",
        "",
        "| threads | pictures a second |",
        "|---|---|",
    ]
    for workers in (1, 2, 4):
        began = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            list(pool.map(lambda _: sign(data, "jpeg", info(), credential), range(count)))
        rows.append(f"| {workers} | {count / (time.perf_counter() - began):.0f} |")
    return "\n".join(rows)


def store(folder: Path, *, sizes: tuple[int, ...]) -> str:
    rng = np.random.default_rng(1)
    rows = [
        "### Manifest store: nearest fingerprint",
        "",
        "Milliseconds of CPU for `by_pdq` among so many, median of 20; the index is filled by SQL.",
        "",
        "| manifests | first look | later looks |",
        "|---|---|---|",
    ]
    for size in sizes:
        opened = ManifestStore.open(folder / str(size))
        entries = ((f"m{number}", rng.bytes(32)) for number in range(size))
        with opened._database.write() as transaction:  # noqa: SLF001 - files are not measured
            transaction.many(
                "INSERT INTO manifest (manifest_id, pdq, size) VALUES (?, ?, 0)", entries
            )
        first, later = Clock(), Clock()
        first.time(partial(opened.by_pdq, rng.bytes(32).hex()))
        for _ in range(20):
            later.time(partial(opened.by_pdq, rng.bytes(32).hex()))
        rows.append(f"| {size:,} | {first.median:.1f} | {later.median:.1f} |")
        opened.close()
    return "\n".join(rows)


def _jpeg(quality: int) -> Callable[[Image.Image], Image.Image]:
    def attack(image: Image.Image) -> Image.Image:
        from PIL import Image as Pillow

        out = io.BytesIO()
        image.save(out, "JPEG", quality=quality)
        return Pillow.open(io.BytesIO(out.getvalue())).convert("RGB")

    return attack


def _crop(part: float) -> Callable[[Image.Image], Image.Image]:
    def attack(image: Image.Image) -> Image.Image:
        dx, dy = (round(side * (1 - part) / 2) for side in image.size)
        return image.crop((dx, dy, image.width - dx, image.height - dy))

    return attack


ATTACKS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "metadata stripped": lambda image: image,
    "JPEG 75": _jpeg(75),
    "JPEG 40": _jpeg(40),
    "half size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "crop to 90 %": _crop(0.9),
    "crop to 70 %": _crop(0.7),
    "rotated 3 degrees": lambda image: image.rotate(3, expand=False),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "mirrored": ImageOps.mirror,
}


def recovery(home: Path, credential: Credential, *, count: int) -> str:
    keys, anchors = load_mark_keys(home), load_anchors(home)
    kept = ManifestStore.open(home / "recovery")
    marked: list[tuple[str, Image.Image]] = []
    for number in range(count):
        picture = scene(2 * number + 1, 512, 512)
        made = info(number + 1)
        payload = bytes.fromhex(made.output_id)
        picture = embed_mark(picture, payload, key=keys.active)
        made = info(number + 1, payload, fingerprint(picture)[0])
        signed = sign(encode_image(picture, "png"), "png", made, credential)
        kept.put(
            manifest_id=signed.manifest_id,
            manifest=signed.manifest,
            output_id=made.output_id,
            record_id=made.record_id,
            pdq=made.pdq or "",
        )
        marked.append((signed.manifest_id, picture))
    rows = [
        "### Recovering a lost manifest",
        "",
        f"{count} drawn pictures of 512 pixels, marked and signed, then every manifest "
        "stripped and the pixels changed. *By mark*: `verify` finds the right manifest by the "
        "watermark. *By fingerprint*: the same without keys, so by PDQ alone (at most 31 bits "
        "of 256). *Wrong*: another picture's manifest, both ways together.",
        "",
        "| change | by mark | by fingerprint | median distance | wrong |",
        "|---|---|---|---|---|",
    ]
    for name, attack in ATTACKS.items():
        by_mark = by_pdq = wrong = 0
        distances = []
        for manifest_id, picture in marked:
            data = encode_image(attack(picture), "png")
            for used in (keys.all, ()):
                report = verify(data, anchors=anchors, mark_keys=used, store=kept)
                found = report.recovered
                if found is None:
                    continue
                right = found.manifest_id == manifest_id
                wrong += not right
                by_mark += right and found.by == "watermark"
                if not used:
                    by_pdq += right
                    distances.append(found.distance or 0)
        far = f"{statistics.median(distances):.0f}" if distances else "-"
        rows.append(f"| {name} | {by_mark}/{count} | {by_pdq}/{count} | {far} | {wrong} |")
    unmarked = 0
    for number in range(count):
        data = encode_image(scene(2 * number + 10_001, 512, 512), "png")
        report = verify(data, anchors=anchors, mark_keys=keys.all, store=kept)
        unmarked += report.recovered is not None
    rows.append(f"| other pictures, never ours | - | - | - | {unmarked}/{count} |")
    kept.close()
    return "\n".join(rows)


def fuzz(home: Path, credential: Credential, count: int, run: Run) -> str:
    from tests.support.other_files import mp4, pdf, wav
    from tests.unit.provenance.provenance_attacks import Outsider
    from tests.unit.provenance.provenance_fuzz import mutants, plain_seeds

    anchors = load_anchors(home)
    seeds = plain_seeds()
    for fmt in FORMATS:
        small = encode_image(scene(1, 24, 24), fmt)
        one = sign(small, fmt, info(), credential).data
        edited = ManifestInfo(
            **(vars(info()) | {"action": "edited", "parent": one})  # a frozen value, copied
        )
        seeds += [one, sign(small, fmt, edited, credential).data] * 2
    stranger, person = Outsider(), Outsider(name="Somebody")
    seeds.append(stranger.sign_with_identity(encode_image(scene(2, 24, 24), "jpeg"), person))
    seeds += [stranger.sign(one) for one in (mp4(), pdf(), wav())]
    said = run.fuzzed or {"tried": 0, "seconds": 0.0, "slowest": 0.0, "answers": {}, "leaks": []}
    run.fuzzed = said
    while said["tried"] < count:
        run.pause_if_late()
        batch = min(2_000, count - said["tried"])
        began = time.process_time()
        for number, data in mutants(seeds, batch, start=10_000 + said["tried"]):
            start = time.process_time()
            try:
                answer = str(verify(data, anchors=anchors).manifest.state)
            except ChopmarkError as error:
                answer = error.code
            except Exception as error:  # noqa: BLE001 - this is what is looked for
                answer = "leak"
                said["leaks"].append(f"{number}: {type(error).__name__}")
            try:
                decode_views(data)
                said["decoded"] = said.get("decoded", 0) + 1
            except ChopmarkError:
                pass
            except Exception as error:  # noqa: BLE001 - likewise
                said["leaks"].append(f"{number}, decoding: {type(error).__name__}")
            said["answers"][answer] = said["answers"].get(answer, 0) + 1
            said["slowest"] = max(said["slowest"], time.process_time() - start)
        said["seconds"] += time.process_time() - began
        said["tried"] += batch
        run.save()
    rows = [
        "### Mutated files",
        "",
        f"{count:,} mutated files through `verify`, and through the reader as moderation asks it "
        f"({said.get('decoded', 0):,} of them still show something), in {said['seconds']:.0f} s of "
        f"CPU: {len(said['leaks'])} answers that were neither a report nor an error of ours; the "
        f"slowest took {said['slowest']:.1f} s.",
        "",
        "| answer | files |",
        "|---|---|",
        *(
            f"| {name} | {number:,} |"
            for name, number in sorted(said["answers"].items(), key=lambda pair: -pair[1])
        ),
    ]
    leaks = ["", *said["leaks"][:20]] if said["leaks"] else []
    return "\n".join(rows + leaks)


if __name__ == "__main__":
    main()
