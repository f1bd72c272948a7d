"""The commands: what each takes on the command line. A command calls one function of generator.verbs."""
