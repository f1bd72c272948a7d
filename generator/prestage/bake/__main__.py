"""`python -m generator.prestage.bake`, as a Dockerfile runs it."""

from generator.prestage.early import listen

listen()

from generator.prestage.bake.command import main  # noqa: E402 - after the line above
from generator.prestage.process import program  # noqa: E402

program(main)
