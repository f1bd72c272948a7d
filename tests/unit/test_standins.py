"""The Hub on loopback is one that the real client downloads from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi, get_session, hf_hub_url, snapshot_download
from huggingface_hub.errors import GatedRepoError, RemoteEntryNotFoundError

from tests.standins.hub import HubStandIn
from tests.standins.weights import sharded_model, tiny_model


@pytest.fixture
def standin() -> Iterator[HubStandIn]:
    with HubStandIn() as server:
        yield server


def download(standin: HubStandIn, to: Path, revision: str = "main") -> dict[str, bytes]:
    folder = Path(
        snapshot_download(
            "org/tiny",
            revision=revision,
            endpoint=standin.url,
            local_dir=to,
            token=False,
            cache_dir=to.parent / "cache",
        )
    )
    files = (path for path in folder.rglob("*") if path.is_file() and ".cache" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_snapshot_download(standin: HubStandIn, tmp_path: Path) -> None:
    first = standin.add("org/tiny", tiny_model())
    standin.add("org/tiny", sharded_model())
    assert download(standin, tmp_path / "old", first) == tiny_model()
    assert download(standin, tmp_path / "new") == sharded_model()


def test_a_folder_is_a_repository(standin: HubStandIn, tmp_path: Path) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "model.safetensors").write_bytes(bytes(3 * 2**20))
    standin.add("org/tiny", tmp_path / "in")
    assert download(standin, tmp_path / "out") == {"sub/model.safetensors": bytes(3 * 2**20)}


@pytest.mark.parametrize(
    ("wanted", "status", "body"),
    [
        ("bytes=2-4", 206, b"234"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-2", 206, b"89"),
        ("bytes=10-", 416, b""),
    ],
)
@pytest.mark.parametrize("path", ["digits.txt", "digits.safetensors"])
def test_ranges(standin: HubStandIn, path: str, wanted: str, status: int, body: bytes) -> None:
    commit = standin.add("org/tiny", {path: b"0123456789"})
    url = hf_hub_url("org/tiny", path, revision=commit, endpoint=standin.url)
    answer = get_session().get(url, headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (status, body)


def test_refusals(standin: HubStandIn) -> None:
    standin.add("org/tiny", tiny_model(), gated="auto")
    api = HfApi(endpoint=standin.url, token=False)
    assert api.model_info("org/tiny").gated == "auto"
    with pytest.raises(GatedRepoError):
        api.get_hf_file_metadata(url=hf_hub_url("org/tiny", "config.json", endpoint=standin.url))
    standin.add("org/open", tiny_model())
    with pytest.raises(RemoteEntryNotFoundError):
        api.get_hf_file_metadata(url=hf_hub_url("org/open", "absent.json", endpoint=standin.url))
