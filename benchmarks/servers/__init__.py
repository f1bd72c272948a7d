"""Servers that benchmarks measure against: each a process of its own, on loopback, fast enough not to be the limit."""
