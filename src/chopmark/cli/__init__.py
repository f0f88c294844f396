"""The command line: ``chopmark --help``.

Results go to stdout (text for people, ``--json`` for machines), progress to stderr. Exit codes:
0 done, 1 error, 2 usage, 3 refused by policy, 4 verification says not authentic.

Everything heavy is imported inside the commands, so that ``chopmark --help`` answers at once.
"""

from __future__ import annotations

import sys
import warnings
from typing import Annotated

import typer

from chopmark.cli import (
    access,
    audit,
    bill,
    compliance,
    conformance,
    debug_log,
    demo,
    evaluate,
    generate,
    hashes,
    init,
    keys,
    mark,
    models,
    moderate,
    policy,
    prompts,
    review,
    seal,
    server,
    settings,
    trust,
    verify,
)
from chopmark.cli.output import EXIT_REFUSED, fail, refuse, warn
from chopmark.errors import ChopmarkError

__all__ = ["app", "main"]

app = typer.Typer(
    name="chopmark",
    help="Generated pictures that can be accounted for: judged, marked, signed and logged.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("init")(init.init)
app.command("generate")(generate.generate)
app.command("edit")(generate.edit)
app.command("seal")(seal.seal)
app.command("verify")(verify.verify)
app.command("moderate")(moderate.moderate)
app.command("eval")(evaluate.evaluate)
app.command("serve")(server.serve)
app.command("demo-data")(demo.demo_data)
app.command("doctor")(server.doctor)
app.command("sbom")(bill.sbom)
app.add_typer(mark.app, name="mark")
app.add_typer(audit.app, name="audit")
app.add_typer(review.app, name="review")
app.add_typer(policy.app, name="policy")
app.add_typer(hashes.app, name="hashes")
app.add_typer(models.app, name="models")
app.add_typer(prompts.app, name="prompts")
app.add_typer(settings.app, name="settings")
app.add_typer(keys.app, name="keys")
app.add_typer(access.app, name="access")
app.add_typer(trust.app, name="trust")
app.add_typer(conformance.app, name="conformance")
app.add_typer(compliance.app, name="compliance")


def _version(show: bool) -> None:
    if show:
        from chopmark import __version__

        typer.echo(f"chopmark {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[  # noqa: ARG001  its callback acts
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            envvar="CHOPMARK_DEBUG",
            help="Show on stderr what is being done, and of an error the whole chain of causes.",
        ),
    ] = False,
) -> None:
    """Options before the command."""
    if debug:
        debug_log.show()


def main() -> None:
    """Run the command line; turns every error of ours into words and an exit code."""
    as_json = "--json" in sys.argv
    warnings.showwarning = warn
    try:
        app()
    except ChopmarkError as error:
        from chopmark.pipeline.released import Refused

        if isinstance(error, Refused):
            refuse(error, as_json=as_json)
            sys.exit(EXIT_REFUSED)
        fail(error, as_json=as_json)
        sys.exit(1)
    except KeyboardInterrupt:
        typer.echo("\nstopped", err=True)
        sys.exit(130)
    finally:
        debug_log.stop()
