"""`python -m generator.prestage`, as the Job runs it."""

from generator.prestage.early import listen

listen()

from generator.prestage.command import main  # noqa: E402 - after the line above
from generator.prestage.process import program  # noqa: E402

program(main)
