"""The revisions of each model: those that models.lock.yaml has named in Git, and those that a bucket or a volume holds.

`gitlog` asks Git which locks there were, `locktext` reads and edits them by the block, `history` makes revisions of
them, `stores` and `copies` look at what is staged, `back` chooses what a rollback takes, `moves` says what moved.
"""
