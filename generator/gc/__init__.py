"""Which models of a bucket nothing refers to any more, and their removal.

`prefixes` groups a listing, `references` reads what catalogues and rendered trees name, `bucket` asks S3, `removal`
deletes. Only `models/<model>/<commit12>/` is ever looked at closely; nothing else is touched.
"""
