"""Weights: headers of safetensors files agree with the format, with the files' sizes, and with their index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from posixpath import basename, dirname, join
from typing import Any

from generator import filechoice
from generator.prestage.content import INDEX
from generator.prestage.loadtest import header
from generator.prestage.loadtest.base import MAX_JSON, Finding, Reader, few, parsed
from generator.prestage.loadtest.header import Header, TooLarge
from generator.safetensors import HeaderError

SAFETENSORS, GGUF = ".safetensors", ".gguf"


@dataclass(slots=True)
class Index:
    """An index, and what the files that it names held so far.

    `owners`: path of the file by tensor; `places`: names of tensors by path of the file.
    """

    path: str
    owners: Mapping[str, str]
    places: Mapping[str, set[str]]
    total: float | None
    data: int = 0  # bytes
    files: int = 0  # bytes
    values: int = 0
    whole: bool = True  # every file that it names was read
    faults: list[str] = field(default_factory=list)

    def meet(self, path: str, size: int, found: Header) -> None:
        """One of the files that it names."""
        names = self.places[path]
        if lost := sorted(names - found.tensors.keys()):
            self.faults.append(f"places {few(lost, ', ')} in {basename(path)}, which does not hold it")
        if twice := sorted(name for name in found.tensors if self.owners.get(name, path) != path):
            self.faults.append(f"{basename(path)} holds {few(twice, ', ')}, which it places in another file")
        self.data += sum(found.tensors.values())
        self.files += size
        self.values += found.values

    def verdict(self) -> Finding:
        """After all its files."""
        if self.whole and not self.faults and not self._has_right_total():
            self.faults.append(f"states a total_size of {self.total:.0f}, its tensors take {self.data} bytes")
        if self.faults:
            return Finding("fault", self.path, few(self.faults))
        if not self.whole:
            return Finding("untested", self.path, "not all of its files can be read")
        return Finding("judged", self.path, f"{len(self.owners)} tensors in {len(self.places)} files")

    def _has_right_total(self) -> bool:
        """Converters left the total of 16 or 32 bits a value, or that of whole files; no loader reads it."""
        known = (self.data, self.files, 2 * self.values, 4 * self.values)
        return self.total is None or self.total in known


def findings(reader: Reader) -> Iterator[Finding]:
    """Of all weights. One header at a time is in memory, beside the indexes."""
    indexes: list[Index] = []
    for path in sorted(path for path in reader.sizes if path.endswith(INDEX)):
        try:
            indexes.append(_index(reader, path))
        except TooLarge as large:
            yield Finding("untested", path, str(large))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            yield Finding("fault", path, f"is not an index of weights: {error}")
    for path in sorted(path for path in reader.sizes if path.endswith(SAFETENSORS)):
        yield _judged(reader, path, [index for index in indexes if path in index.places])
    yield from (index.verdict() for index in indexes)
    yield from _others(reader)


def _index(reader: Reader, path: str) -> Index:
    if reader.sizes[path] > MAX_JSON:
        raise TooLarge(f"its {reader.sizes[path]} bytes are not read")
    content = parsed(reader.whole(path))
    owners = {tensor: join(dirname(path), str(name)) for tensor, name in content["weight_map"].items()}
    places: dict[str, set[str]] = {}
    for tensor, place in owners.items():
        places.setdefault(place, set()).add(tensor)
    index = Index(path, owners, places, _total(content.get("metadata")))
    if lost := sorted(basename(place) for place in places if place not in reader.sizes):
        index.whole = False
        index.faults.append(f"names {few(lost, ', ')}, which is not there")
    return index


def _total(metadata: Any) -> float | None:
    """`total_size`; some write it as a text or as a fraction."""
    try:
        return float(metadata["total_size"])
    except (TypeError, KeyError, ValueError):
        return None


def _judged(reader: Reader, path: str, indexes: list[Index]) -> Finding:
    """One file, which the `indexes` name."""
    try:
        found, faults = header.read(reader, path)
    except (HeaderError, TooLarge) as error:
        for index in indexes:
            index.whole = False
        return Finding("untested" if isinstance(error, TooLarge) else "fault", path, str(error))
    if faults:
        for index in indexes:
            index.whole = False
        return Finding("fault", path, "; ".join(faults))
    for index in indexes:
        index.meet(path, reader.sizes[path], found)
    return Finding("judged", path, f"{len(found.tensors)} tensors, {found.values} values")


def _others(reader: Reader) -> Iterator[Finding]:
    """Weights in other formats: what GGUF files begin with, and a word on the rest."""
    paths = sorted(path for path in reader.sizes if filechoice.is_weights(path) and not path.endswith(SAFETENSORS))
    for path in paths:
        if not path.endswith(GGUF):
            yield Finding("untested", path, "weights of this format are not tested")
        elif reader.sizes[path] < 24 or reader.read(path, 0, 4) != b"GGUF":
            yield Finding("fault", path, "is not a GGUF file")
        else:
            yield Finding("judged", path, "begins as a GGUF file; the rest was not tested")
