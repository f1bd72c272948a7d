"""The stated limits hold, one below, at, and one above (promise G8)."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from pydantic import ValidationError

from generator.spec import Spec
from tests.promises import strings

LIMIT = 20_000


def catalogue(models: int, services: int) -> dict[str, Any]:
    data = copy.deepcopy(strings.catalogue())
    model, service = data["models"][0], data["services"][0]
    data["models"] = [{**model, "name": f"m{i}"} for i in range(models)]
    data["services"] = [{**service, "name": f"s{i}"} for i in range(services)]
    return data


@pytest.mark.parametrize("over", [-1, 0])
@pytest.mark.parametrize("kind", ["models", "services"])
def test_so_many_are_taken(kind: str, over: int) -> None:
    counts = {"models": 1, "services": 1, kind: LIMIT + over}
    assert len(getattr(Spec.model_validate(catalogue(**counts)), kind)) == LIMIT + over


@pytest.mark.parametrize("kind", ["models", "services"])
def test_one_more_is_refused(kind: str) -> None:
    counts = {"models": 1, "services": 1, kind: LIMIT + 1}
    with pytest.raises(ValidationError, match=f"at most {LIMIT}"):
        Spec.model_validate(catalogue(**counts))
