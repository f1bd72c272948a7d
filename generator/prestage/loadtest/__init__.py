"""The load test: is a copy a model that can be loaded? Reads what it needs of it, and never whole weights.

`configuration`, `weights` and `tokenizer` judge, each its kind of file; `publication` publishes what is sound.
"""
