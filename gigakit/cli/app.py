"""The ``gigakit`` command: every sub-command, and the one place where errors become exit codes."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NoReturn

import typer

from gigakit import __version__
from gigakit.cli import (
    ablate,
    compare,
    config,
    doctor,
    embed,
    embeddings,
    evaluate,
    export,
    heatmap,
    new,
    pack,
    plan,
    probe,
    report,
    sample,
    test,
    tile,
    train,
)
from gigakit.cli import list as listing
from gigakit.cli.completion import completed_words
from gigakit.cli.libgl import explain_import_error
from gigakit.core.errors import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    ConfigError,
    GigakitError,
    InterruptedRunError,
    NonFiniteGradientError,
    OtherProcessError,
)
from gigakit.core.launcher import environment_rank

_DEBUG = "--debug"
# the commands as ``--help`` shows them: by what they are for, one line of 80 columns each
_PANELS = {
    "Slides and tiles": {
        "plan": "Estimate tiles, bytes and hours before starting.",
        "tile": "Find tissue, lay out tiles, draw an overview of each slide.",
        "embed": "Embed tiles and, with a published encoder, slides.",
        "embeddings": "Export, search and show slides by their embeddings.",
        "pack": "Pack features or tiles into few large files.",
        "report": "Write the page of a cohort, or of an ablation.",
        "sample": "Fetch the sample slide (2 MB) once.",
    },
    "Training": {
        "train": "Train a recipe; what it needs is prepared first, once.",
        "export": "Write the weights of a run as safetensors.",
    },
    "Evaluation": {
        "ablate": "Train cells of an ablation alike, and compare them.",
        "probe": "Compare frozen tile encoders on labelled tiles.",
        "test": "Predict a split of a slide-level task by a checkpoint.",
        "heatmap": "Draw which tiles a slide-level prediction rests on.",
        "evaluate": "Cross-validate a slide-level task: numbers with intervals.",
        "compare": "Compare evaluated models on the same draws of patients.",
    },
    "Configs and components": {
        "list": "List recipes and components, or tell all of one.",
        "config": "Check, show and compare configs.",
        "new": "Write a component of your own, its test and what tries it.",
        "doctor": "Check installation, devices, attention, disk and sample.",
    },
}
# what stops every process of a run, for the same reason
_AGREED = (ConfigError, InterruptedRunError, NonFiniteGradientError, OtherProcessError)


def main(prefix: Sequence[str] = ()) -> NoReturn:
    """Run the command line and exit.

    Args:
        prefix: arguments put before the command line's own, such as ``["train"]``.

    Errors of gigakit and of the file system are one line on standard error and their own exit code;
    ``--debug``, anywhere on the line, shows the traceback.
    """
    # threads that spin while they wait stall each other on a shared machine; torch reads this once
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    arguments = [*prefix, *sys.argv[1:]]
    debug = _DEBUG in arguments
    arguments = [argument for argument in arguments if argument != _DEBUG]
    try:
        # where a shell asks what may follow, the line to complete stands in the environment
        build_app(completed_words() or arguments)(args=arguments, prog_name="gigakit")
    except _AGREED as error:
        # all ranks end alike, and one line is enough
        if environment_rank() != 0 and not debug:
            sys.exit(error.exit_code)
        _fail(error, str(error), error.exit_code, debug=debug)
    except GigakitError as error:
        _fail(error, str(error), error.exit_code, debug=debug)
    except ImportError as error:
        fix = explain_import_error(error)
        if fix is None:
            raise
        _fail(error, f"{error}; {fix}", EXIT_FAILED, debug=debug)
    except OSError as error:
        # a full disk, a folder without permission: the machine's words say what to do
        where = f"{error.filename}: " if error.filename else ""
        _fail(error, f"{where}{error.strerror or error}", EXIT_FAILED, debug=debug)
    except KeyboardInterrupt as error:
        _fail(error, "interrupted", EXIT_INTERRUPTED, debug=debug)
    sys.exit(0)


def build_app(arguments: Sequence[str]) -> typer.Typer:
    """Return the application.

    Args:
        arguments: the command line; ``ablate`` has flags for the axes of the recipe named in it.
    """
    app = typer.Typer(
        name="gigakit",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog=f"{_DEBUG} shows the traceback of an error.",
    )
    app.callback()(_gigakit)
    commands: dict[str, Callable[..., Any]] = {
        "plan": plan.plan,
        "tile": tile.tile,
        "embed": embed.embed,
        "pack": pack.pack,
        "report": report.report,
        "sample": sample.sample,
        "train": train.train,
        "export": export.export,
        "ablate": _ablate_command(arguments),
        "test": test.predict_split,
        "heatmap": heatmap.heatmap,
        "probe": probe.probe,
        "evaluate": evaluate.evaluate,
        "compare": compare.compare,
        "list": listing.list_components,
        "new": new.new,
        "doctor": doctor.doctor,
    }
    groups = {"config": config.config_app, "embeddings": embeddings.embeddings_app}
    for panel, lines in _PANELS.items():
        for name, line in lines.items():
            if name in groups:
                app.add_typer(
                    groups[name], name=name, help=line, short_help=line, rich_help_panel=panel
                )
            else:
                app.command(name, short_help=line, rich_help_panel=panel)(commands[name])
    return app


def _gigakit(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=lambda given: _print_version(given=given)
        ),
    ] = False,
) -> None:
    """Pretrain, adapt, embed and ablate gigapixel-slide encoders as declarative experiments."""


def _print_version(*, given: bool) -> None:
    if given:
        typer.echo(f"gigakit {__version__}")
        raise typer.Exit


def _ablate_command(arguments: Sequence[str]) -> Callable[..., None]:
    if arguments[:1] == ["ablate"]:
        return ablate.ablate_command(arguments[1:])

    # its flags come from a recipe, which no other command needs to read
    def described() -> None:
        """Train every cell at the same budget and data order; print and write one table."""

    return described


def _fail(error: BaseException, message: str, exit_code: int, *, debug: bool) -> NoReturn:
    if debug:
        traceback.print_exception(error)
    typer.echo(f"error: {message}", err=True)
    sys.exit(exit_code)
