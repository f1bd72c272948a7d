"""A small repository for tests of the developer's loop, and a server that answers as Ray's ports do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CATALOGUE = f"""\
apiVersion: modelyard.dev/v1alpha1
kind: ModelCatalog
platform:
  prefix: acme
  repository: {{url: "https://git.example.com/acme/gitops.git", revision: main, path: rendered}}
  namespace: models
  images: {{prestage: "registry.example.com/acme/prestage:1.0.0"}}
clusters:
  - {{name: one, provider: eks, selector: {{stage: test}}}}
  - {{name: two, provider: eks, selector: {{stage: production}}}}
caches:
  - {{name: s3, type: s3}}
models:
  - {{name: tiny, source: {{huggingface: org/tiny, revision: {COMMIT}}}, cache: s3}}
  - {{name: words, source: {{huggingface: org/words, revision: {COMMIT}}}, cache: s3}}
services:
  - name: chat
    clusters: [one]
    applications:
      - {{model: tiny, app: text-generation, route: /chat, memory: 2Gi, replicas: {{min: 2, max: 3}}}}
      - {{model: words, app: translation, route: /, memory: 2Gi, contextLength: 2048}}
  - name: assistant
    clusters: [one, two]
    accelerator: nvidia-l4
    applications:
      - {{model: tiny, app: vllm, memory: 24Gi, contextLength: 2048}}
"""


def repository(folder: Path) -> Path:
    """Its models.yaml."""
    path = folder / "models.yaml"
    path.write_text(CATALOGUE)
    return path


Reply = tuple[int, bytes]


@dataclass
class Server:
    """Answers by `METHOD path`, 404 where nothing is known; keeps what came."""

    url: str
    replies: dict[str, Reply | Callable[[Mapping[str, str]], Reply]] = field(default_factory=dict)
    asked: list[tuple[str, bytes]] = field(default_factory=list)


@contextmanager
def server() -> Iterator[Server]:
    """On a port of its own."""
    found = Server("")

    class Handler(BaseHTTPRequestHandler):
        def serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            key = f"{self.command} {self.path}"
            found.asked.append((key, body))
            reply = found.replies.get(key, (404, b"nothing here"))
            status, data = reply if isinstance(reply, tuple) else reply(dict(self.headers))
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = serve

        def log_message(self, format: str, *args: object) -> None:
            """Nothing goes to the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        found.url = f"http://127.0.0.1:{running.server_address[1]}"
        yield found
        running.shutdown()


def model_folder(folder: Path) -> Path:
    """What is enough of a model for whoever does not load it."""
    folder.mkdir()
    (folder / "config.json").write_text('{"max_position_embeddings": 512}')
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder
