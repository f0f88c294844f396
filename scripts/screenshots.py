"""``python scripts/screenshots.py [NAME...]``: the pictures of the pages in ``docs/web/``.

Runs the real site on loopback with the embedded model, in a home of its own, and does what a person
would do in Debian's Chromium. The days before today are made up, so that the charts have something
to show; everything else is what the pages say of what was really made.
"""

from __future__ import annotations

import io
import json
import random
import re
import sys
import tempfile
import threading
import time
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from PIL import Image

from chopmark import Pipeline, Settings
from chopmark.kit.ids import new_record_id
from chopmark.pipeline.policy_book import PolicyBook
from chopmark.safety import load_policy
from chopmark.service.logging import make_logger
from chopmark.site import create_site
from chopmark.tenancy import AccessStore, People

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium")
OUT = Path(__file__).parents[1] / "docs" / "web"
WIDE, PHONE = (1440, 960), (390, 844)
PEOPLE = {
    "ada": "creator",
    "grace": "reviewer",
    "alan": "reviewer",
    "edith": "auditor",
    "ida": "investigator",
}
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(kw_only=True)
class Stage:
    """A running site, a browser, and what was made so far."""

    url: str
    people: People
    pipeline: Pipeline
    browser: Browser
    folder: Path
    file: Path | None = None

    @contextmanager
    def page(self, name: str | None, size: tuple[int, int], scheme: str) -> Iterator[Page]:
        """Open a page as somebody; 390 pixels are a phone."""
        context = self.browser.new_context(
            base_url=self.url,
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,  # type: ignore[arg-type]
            device_scale_factor=2,
            reduced_motion="reduce",
        )
        context.set_default_timeout(60_000)
        if name:
            token = self.people.begin(self.people.person(name)).token
            context.add_cookies([{"name": "chopmark_session", "value": token, "url": self.url}])
        yield context.new_page()
        context.close()

    def shoot(self, page: Page, name: str, *, of: str | None = None) -> None:
        """Save what the window shows, in few colours: documents are read over slow lines too.

        Args:
            page: What is shown.
            name: Of the picture.
            of: A part of the page, as a selector.
        """
        page.evaluate("document.activeElement.blur()")
        page.wait_for_timeout(300)
        shot = page.locator(of).first.screenshot() if of else page.screenshot()
        with Image.open(io.BytesIO(shot)) as seen:
            scale = 0.5 if of else 0.75 if seen.width > 1000 else 0.85
            small = seen.convert("RGB").resize(
                (round(seen.width * scale), round(seen.height * scale)), Image.Resampling.LANCZOS
            )
        path = OUT / f"{name}.png"
        small.quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)
        print(f"{path.relative_to(OUT.parents[1])}  {path.stat().st_size // 1024} KiB")


def made_up_days(pipeline: Pipeline) -> None:
    """Book a week of requests that nobody made, for the charts alone."""
    from chopmark.audit import Event
    from chopmark.audit.log import ledger

    log, draw, real = pipeline.parts.log, random.Random(7), ledger.now  # noqa: S311
    try:
        for day in range(6, 0, -1):
            ledger.now = lambda shift_s=0.0, back=day: real(shift_s - back * 86_400)
            for number in range(draw.randint(18, 44)):
                one: dict[str, Any] = {"record_id": new_record_id(), "tenant": "default"}
                log.append(Event(kind="request.received", **one))
                spent = {"judge_prompt": 9, "generate": 640, "judge_output": 62, "mark": 190}
                spent |= {"sign": 27, "completed": 4}
                timings = {
                    name: round(ms * draw.uniform(0.8, 1.3), 1) for name, ms in spent.items()
                }
                if number % 7 == 3:
                    why = draw.choice(["sexual", "violence", "hate", "deepfake", "ip"])
                    public: dict[str, Any] = {"stage": "input", "categories": [why]}
                    public["action"] = "block"
                    log.append(Event(kind="request.refused", public=public, **one))
                else:
                    public = {"outputs": [], "timings_ms": timings, "model": "embedded@1"}
                    log.append(Event(kind="request.completed", public=public, **one))
    finally:
        ledger.now = real


def doubting_policy(folder: Path) -> Path:
    """Write the default policy with a lower bar for review, so that the queue has something."""
    import yaml

    said = load_policy("default").model_dump(mode="json")
    said["categories"]["violence"]["prompt"]["review"] = 0.0
    path = folder / "doubting.yaml"
    path.write_text(yaml.safe_dump(said, sort_keys=False), encoding="utf-8")
    return path


def make(page: Page, prompt: str, n: int = 4, seed: int = 7) -> None:
    """Ask the studio for pictures and wait for them."""
    page.goto("/studio")
    page.fill("#prompt", prompt)
    page.fill("#n", str(n))
    page.fill("#seed", str(seed))
    page.click("#make")
    page.wait_for_selector(".made, .refused")


def verify(stage: Stage) -> None:
    """The page for everybody: made here, and altered on a phone at night."""
    with stage.page("ada", WIDE, "light") as page:
        make(page, "a red apple on a blue background", n=1)
        with page.expect_download() as download:
            page.click("text=Download with credentials")
        stage.file = stage.folder / "apple.png"
        download.value.save_as(stage.file)
    with stage.page(None, WIDE, "light") as page:
        page.goto("/verify")
        stage.shoot(page, "verify")
        page.set_input_files("#image", stage.file)
        page.wait_for_selector("[data-focus]")
        page.locator(".report").evaluate(
            "node => scrollTo(0, node.getBoundingClientRect().top + scrollY - 48)"
        )
        stage.shoot(page, "verify-made-here")
    cut = stage.folder / "cut.jpg"
    with Image.open(stage.file) as picture:
        picture.convert("RGB").crop((24, 24, 500, 500)).save(cut, quality=88)
    with stage.page(None, PHONE, "dark") as page:
        page.goto("/verify")
        page.set_input_files("#image", cut)
        page.wait_for_selector("[data-focus]")
        page.locator(".report").evaluate(
            "node => scrollTo(0, node.getBoundingClientRect().top + scrollY - 24)"
        )
        stage.shoot(page, "verify-altered-phone")
    changed = stage.folder / "changed.png"
    with Image.open(stage.file) as picture:
        whole = picture.convert("RGB")
    spot = whole.crop((0, 0, 96, 96)).resize((150, 150))
    whole.paste(spot, (180, 200))
    whole.save(changed)
    with stage.page(None, (860, 900), "light") as page:
        page.goto("/verify")
        page.set_input_files("#image", changed)
        page.wait_for_selector("[data-focus]")
        stage.shoot(page, "verify-side-by-side", of="section:has(> .sides)")


def verdicts(stage: Stage) -> None:
    """What the page says of ten files, for ``docs/verify.md``."""
    from verdict_files import verdict_files

    with stage.page("ada", WIDE, "light") as page:
        make(page, "a yellow star on a green background", n=1)
        with page.expect_download() as download:
            page.click("text=Download with credentials")
        stage.file = stage.folder / "star.png"
        download.value.save_as(stage.file)
    anchors = stage.pipeline.parts.home / "anchors"
    for verdict, data in verdict_files(stage.file.read_bytes(), anchors):
        file = stage.folder / verdict
        file.write_bytes(data)
        with stage.page(None, (860, 900), "light") as page:
            page.goto("/verify")
            page.set_input_files("#image", file)
            page.wait_for_selector("[data-focus]")
            said = json.loads(page.locator(".raw pre").last.text_content() or "{}")
            if said["verdict"] != verdict:
                raise SystemExit(f"{file.name} is said to be {said['verdict']}")
            page.evaluate("for (const one of document.querySelectorAll('.report > :not(.verdict,"
                          " h3, .axes)')) one.remove()")  # fmt: skip
            stage.shoot(page, f"verdict-{verdict}", of=".report")


def studio(stage: Stage) -> None:
    """Variations, wide and light; a refusal on a phone at night."""
    with stage.page("ada", WIDE, "light") as page:
        make(page, "a yellow star on a green background", n=4)
        stage.shoot(page, "studio")
    with stage.page("ada", PHONE, "dark") as page:
        make(page, "explicit photo of a naked woman", n=1)
        page.locator(".refused").evaluate("node => scrollTo(0, node.offsetTop - 24)")
        stage.shoot(page, "studio-refused-phone")


def console(stage: Stage) -> None:
    """The queue, a record at night, the charts and the log."""
    parts = stage.pipeline.parts
    doubting = str(doubting_policy(stage.folder))
    parts.use(policies=PolicyBook(doubting, log=lambda: parts.log))
    with stage.page("ada", WIDE, "light") as page:
        for prompt in ("a dragon", "a knight slaying a dragon", "a zombie with a knife"):
            make(page, prompt, n=2)
    with stage.page("grace", WIDE, "light") as page:
        page.goto("/console")
        stage.shoot(page, "console-queue")
        page.goto("/console/charts")
        page.wait_for_selector(".uplot >> nth=1")
        stage.shoot(page, "console-charts")
    with stage.page("ida", WIDE, "light") as page:
        page.goto("/console/search?all=1&decision=review&why=case+12")
        page.locator(".later").last.evaluate(
            "node => scrollTo(0, node.getBoundingClientRect().top + scrollY - 24)"
        )
        stage.shoot(page, "console-search")
        page.goto("/console/people/default:ada?why=case+12")
        stage.shoot(page, "console-person")
    with stage.page("grace", PHONE, "dark") as page:
        page.goto("/console/queues/review")
        stage.shoot(page, "console-waiting-phone")
    with stage.page("grace", WIDE, "dark") as page:
        page.goto("/console")
        page.click("[data-key=n]")
        page.wait_for_selector("#decide")
        page.fill("#rationale", "A fairy tale; nobody is hurt.")
        stage.shoot(page, "console-record")
    with stage.page("alan", PHONE, "light") as page:
        page.goto("/console")
        page.click("[data-key=n]")
        page.wait_for_selector("#decide")
        stage.shoot(page, "console-record-phone")
    with stage.page("edith", WIDE, "light") as page:
        page.goto("/console/log")
        page.click("button:has-text('Verify now')")
        page.wait_for_selector("#walk .tag.good")
        stage.shoot(page, "console-log")


SCENES: dict[str, Callable[[Stage], None]] = {
    "verify": verify,
    "verdicts": verdicts,
    "studio": studio,
    "console": console,
}


def main(names: list[str]) -> int:
    """Run the scenes that are named, or all; return 0."""
    from playwright.sync_api import sync_playwright

    OUT.mkdir(exist_ok=True)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            home=Path(folder) / "home", cost_per_hour=1.2, public_verify=True, public_copies=True
        )
        with (
            Pipeline.from_settings(settings) as pipeline,
            AccessStore.open(settings.open_home()),
            People.open(settings.open_home()) as people,
            sync_playwright() as engine,
        ):
            print("opening model, log and keys", file=sys.stderr)
            pipeline.parts.open_all()
            for name, role in PEOPLE.items():
                people.add(name, roles=[role, "reader"], tenant="default")
            made_up_days(pipeline)
            app = create_site(pipeline, logger=make_logger(io.StringIO()))
            config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical")
            server = uvicorn.Server(config)
            thread = threading.Thread(target=server.run, daemon=True)
            thread.start()
            while not server.started:
                time.sleep(0.05)
            port = server.servers[0].sockets[0].getsockname()[1]
            stage = Stage(
                url=f"http://127.0.0.1:{port}",
                people=people,
                pipeline=pipeline,
                browser=engine.chromium.launch(executable_path=str(CHROMIUM), args=QUIET),
                folder=Path(folder),
            )
            for name in names or list(SCENES):
                SCENES[name](stage)
            stage.browser.close()
            server.should_exit = True
            thread.join(20)
    return 0


if __name__ == "__main__":
    unknown = [name for name in sys.argv[1:] if not re.fullmatch("|".join(SCENES), name)]
    if unknown or not CHROMIUM.exists():
        sys.exit(f"scenes are {', '.join(SCENES)}; Debian's chromium must be installed")
    sys.exit(main(sys.argv[1:]))
