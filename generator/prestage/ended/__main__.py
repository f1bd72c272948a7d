"""`python -m generator.prestage.ended`, the exit handler of a Workflow."""

from generator.prestage.early import listen

listen()

from generator.prestage.ended.command import main  # noqa: E402 - after the line above
from generator.prestage.process import program  # noqa: E402

program(main)
