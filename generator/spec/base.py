"""What every node of models.yaml shares: strictness, naming of keys, and the reusable field types."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, StringConstraints
from pydantic.alias_generators import to_camel

from generator.yamlio import unsafe_character


class Node(BaseModel):
    """A mapping of models.yaml: unknown keys are faults, values keep their YAML type, nothing can be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, alias_generator=to_camel, defer_build=True)


def example(*values: Any, unit: str = "") -> dict[str, Any]:
    """Arguments of `Field` that document it: examples, and the unit where there is one."""
    extra: dict[str, Any] = {"x-unit": unit} if unit else {}
    return {"examples": list(values), "json_schema_extra": extra}


T = TypeVar("T")
Seq = Annotated[tuple[T, ...], Strict(False)]
"""A YAML list, kept as a tuple."""

Name = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63),
]
"""A DNS-1035 label: KubeRay and Services want a letter first (KubeRay v1.7.0 validation.go)."""


def _visible(text: str) -> str:
    """A bidirectional or control character could hide from a reviewer what the text says. Raises ValueError."""
    at = unsafe_character(text)
    if at >= 0:
        raise ValueError(f"holds U+{ord(text[at]):04X}, which cannot be seen: take it out")
    return text


def _network(text: str) -> str:
    try:
        IPv4Network(text)
    except ValueError as error:
        raise ValueError(f"is no network: {error}") from None
    return text


def with_port(text: str) -> str:
    """An address whose port, if it has one, exists. Raises ValueError for others."""
    try:
        missing = urlsplit(text).port == 0
    except ValueError:
        missing = True
    if missing:
        raise ValueError("has a port that does not exist: 1 to 65535")
    return text


def _one_line(text: str) -> str:
    if "\n" in text or "\t" in text:
        raise ValueError("holds a line break or a tab: write it on one line")
    return text


# The better part of the rule, for editors; beyond U+FFFF the dialects of patterns differ.
PRINTABLE = (
    r"^[^\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff"
    r"\ufff0-\ufffb\ufffe\uffff]+$"
)
Text = Annotated[
    str,
    StringConstraints(min_length=1, max_length=1000),
    AfterValidator(_visible),
    AfterValidator(_one_line),
    Field(json_schema_extra={"pattern": PRINTABLE}),
]
"""One line of free text, as people read it."""
Lines = Annotated[str, StringConstraints(max_length=1000), AfterValidator(_visible)]
"""Text that may have several lines, for programs to read."""

_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"

ObjectName = Annotated[str, StringConstraints(pattern=_SUBDOMAIN, max_length=253)]
"""A DNS-1123 subdomain, as most objects of Kubernetes are named."""

LabelledName = Annotated[str, StringConstraints(pattern=_SUBDOMAIN, max_length=63)]
"""The name of an object that others name in a label."""

SecretKey = Annotated[str, StringConstraints(pattern=r"^[.]?[-_A-Za-z0-9][-._A-Za-z0-9]*$", max_length=253)]
"""A key of a Secret: not `.`, nor anything that starts with `..` (Kubernetes v1.35 IsConfigMapKey)."""

LabelKey = Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?$", max_length=317
    ),
]
LabelValue = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?)?$", max_length=63)]

Cpu = Annotated[str, StringConstraints(pattern=r"^([1-9][0-9]{0,3}|[1-9][0-9]{0,5}m)$")]
"""A Kubernetes CPU quantity in its canonical text form: `2` or `500m`."""

Cidr = Annotated[
    str,
    StringConstraints(pattern=r"^([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}$"),
    AfterValidator(_network),
]
"""A network of IPv4 addresses, as RFC 4632 writes it: `10.0.0.0/8`."""

Memory = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,4}(Mi|Gi|Ti)$")]
"""A Kubernetes memory quantity in its canonical text form: `8Gi`."""

ImageReference = Annotated[
    str,
    StringConstraints(
        pattern=(
            r"^[a-z0-9]+([._-][a-z0-9]+)*(:[0-9]+)?(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)+"
            r"(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?$"
        ),
        max_length=512,
    ),
]
"""A container image by tag, digest or both (OCI distribution reference grammar, lower case host)."""


def _pinned(reference: str) -> str:
    last = reference.rsplit("/", 1)[-1]
    if "@sha256:" not in last and (":" not in last or last.endswith(":latest")):
        raise ValueError("an image needs a tag other than `latest`, or a digest")
    return reference


PinnedImage = Annotated[ImageReference, AfterValidator(_pinned)]


def described(description: str, *examples: Any, unit: str = "", **kwargs: Any) -> Any:
    """A pydantic `Field` whose description, example and unit are mandatory in this project."""
    return Field(description=description, **example(*examples, unit=unit), **kwargs)


_NAME_RULE = "lower-case letters, digits and hyphens; a letter first, no hyphen last"

PATTERN_HINTS: dict[str, str] = {
    r"^[a-z]([-a-z0-9]*[a-z0-9])?$": _NAME_RULE,
    r"^([1-9][0-9]{0,3}|[1-9][0-9]{0,5}m)$": 'whole cores or thousandths as text, such as "2" or 500m',
    r"^[1-9][0-9]{0,4}(Mi|Gi|Ti)$": "a whole number with Mi, Gi or Ti, such as 8Gi",
}
"""What a pattern means, for people. A pattern without a row is shown as it is."""
