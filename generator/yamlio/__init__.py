"""The compiler's only YAML reader and writer.

Reading is strict: what YAML 1.1, YAML 1.2 and Kubernetes' parser read differently, and what a reviewer
cannot see, is refused with its line and column. Writing is canonical: what those parsers read differently is
quoted, what a reviewer cannot see is escaped.
"""

from generator.yamlio.construct import LIMITS, Limits
from generator.yamlio.positions import Position
from generator.yamlio.reader import Document, load, load_file
from generator.yamlio.scalars import shown, unsafe_character
from generator.yamlio.writer import canonical_json, dump, dump_all, pretty_json

__all__ = [
    "LIMITS",
    "Document",
    "Limits",
    "Position",
    "canonical_json",
    "dump",
    "dump_all",
    "load",
    "load_file",
    "pretty_json",
    "shown",
    "unsafe_character",
]
