"""The command line: parses, calls one function per verb, and turns the outcome into an exit code."""

from __future__ import annotations

import gc
import os
import sys
from itertools import pairwise
from typing import NoReturn

import click

from generator import __version__, report
from generator.commands import catalogue, kro, models, running, tree
from generator.commands.shared import EPILOG
from generator.errors import ExitCode, UserError, exit_code


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="modelyard")
def cli() -> None:
    """Compile one models.yaml into a GitOps repository that serves language models on Kubernetes."""


for _command in (
    tree.render,
    tree.check,
    tree.lint,
    models.lock,
    tree.schema,
    catalogue.init,
    catalogue.add,
    models.prestage,
    running.rehearse,
    running.serve,
    running.ask,
    models.collect,
    models.versions,
    models.rollback,
    kro.kro,
):
    cli.add_command(_command)


def _version_block() -> str:
    import platform

    import pydantic

    return (
        f"modelyard {__version__}, Python {platform.python_version()}, pydantic {pydantic.VERSION},"
        f" {platform.platform(terse=True)}"
    )


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run and exit: the only place where an outcome becomes a process status."""
    # A verb lives for a moment and makes hardly any cycles: collecting them costs a tenth of its time.
    gc.disable()
    # Plugins of other packages have no say in what models.yaml means, and looking for them takes time.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        code = cli.main(arguments, prog_name="modelyard", standalone_mode=False)
    except UserError as error:
        report.diagnostics(error.diagnostics, output=_wanted_output(arguments))
        code = exit_code(error.diagnostics)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        report.line("stopped", sys.stderr)
        code = 130
    except BrokenPipeError:
        code = ExitCode.OK
    except Exception:  # the last line of defence: a bug of ours
        import traceback

        report.line(traceback.format_exc(), sys.stderr)
        report.line(
            f"This is a bug in modelyard; please report it with the lines above. {_version_block()}", sys.stderr
        )
        code = ExitCode.BUG
    sys.exit(int(code or 0))


def _wanted_output(arguments: list[str] | None) -> str:
    words = sys.argv[1:] if arguments is None else arguments
    as_json = (
        "--output=json" in words
        or ("--json" in words and words[:1] == ["ask"])
        or ("--output", "json") in pairwise(words)
    )
    return "json" if as_json else "text"


if __name__ == "__main__":
    main()
