"""`python -m generator.prestage.waiting`, the init container of a predictor."""

from generator.prestage.early import listen

listen()

from generator.prestage.process import program  # noqa: E402 - after the line above
from generator.prestage.waiting.command import main  # noqa: E402

program(main)
