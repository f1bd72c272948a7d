"""`python -m generator.prestage.refresh`, as a schedule runs it."""

from generator.prestage.early import listen

listen()

from generator.prestage.process import program  # noqa: E402 - after the line above
from generator.prestage.refresh.command import main  # noqa: E402

program(main)
