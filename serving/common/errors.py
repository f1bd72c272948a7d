"""The two ways to say no."""


class StartRefused(RuntimeError):
    """The service does not start; the message is the reason."""


class PromptRefused(ValueError):
    """This model cannot answer the request; the message tells the caller why."""
