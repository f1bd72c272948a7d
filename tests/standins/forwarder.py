"""Stands in for `kubectl port-forward`: a real forwarder of TCP with kubectl's arguments, its lines and its errors.

    python forwarder.py --context C --namespace N port-forward --address A service/S HERE:THERE...

FORWARDER holds the cluster, as JSON: context to `namespace/service` to port to the port of this machine behind it.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading


def main(words: list[str]) -> int:
    cluster: dict[str, dict[str, dict[str, int]]] = json.loads(os.environ["FORWARDER"])
    if words == ["config", "get-contexts", "-o", "name"]:
        print("\n".join(cluster))
        return 0
    (_, context, _, namespace, verb, _, address, service, *pairs) = words
    assert verb == "port-forward" and service.startswith("service/")
    name = service.removeprefix("service/")
    if context not in cluster:
        print(f'error: context "{context}" does not exist', file=sys.stderr)
        return 1
    ports = cluster[context].get(f"{namespace}/{name}")
    if ports is None:
        print(f'Error from server (NotFound): services "{name}" not found', file=sys.stderr)
        return 1
    for pair in pairs:
        here, _, there = pair.partition(":")
        listener = socket.create_server((address, int(here or 0)))
        print(f"Forwarding from {address}:{listener.getsockname()[1]} -> {there}", flush=True)
        threading.Thread(target=accept, args=(listener, ports[there]), daemon=True).start()
    threading.Event().wait()
    return 0


def accept(listener: socket.socket, port: int) -> None:
    while True:
        client, _ = listener.accept()
        print("Handling connection", flush=True)
        threading.Thread(target=connect, args=(client, port), daemon=True).start()


def connect(client: socket.socket, port: int) -> None:
    try:
        server = socket.create_connection(("127.0.0.1", port))
    except OSError:
        client.close()
        return
    for ends in ((client, server), (server, client)):
        threading.Thread(target=pump, args=ends, daemon=True).start()


def pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        source.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
