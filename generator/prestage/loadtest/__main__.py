"""`python -m generator.prestage.loadtest`, the step after `python -m generator.prestage --hold`."""

from generator.prestage.early import listen

listen()

from generator.prestage.loadtest.command import main  # noqa: E402 - after the line above
from generator.prestage.process import program  # noqa: E402

program(main)
