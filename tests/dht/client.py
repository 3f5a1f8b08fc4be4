#!/usr/bin/env python3
"""A client of the distributed store's plain mode, written from docs/protocol/dht.md alone.

    client.py HOST:PORT ping
    client.py HOST:PORT nodes ID
    client.py HOST:PORT get KEY        # a value, over TCP, from whoever has it: its bytes on standard output
    client.py HOST:PORT file KEY       # a file: the bytes of all its pieces
    client.py HOST:PORT put            # standard input as a value; serves it until a node has fetched it, prints the key
    client.py HOST:PORT nonsense       # what is no message, and lines that are no keys: the node must still answer afterwards
"""

import base64
import hashlib
import json
import os
import secrets
import socket
import sys
import threading
import time

PATIENCE = 10.0
# A node that somebody told of may be gone.
SILENCE = 2.0
LONGEST_VALUE = 1 << 20


class Refused(Exception):
    """A node answered with an error."""


class Client:
    def __init__(self, host):
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((host, 0))
        self.udp.settimeout(0.5)
        self.listener = socket.create_server((host, self.udp.getsockname()[1]))
        self.me = {"id": os.urandom(32).hex(), "addr": host, "port": self.udp.getsockname()[1]}
        self.tokens = {}

    def ask(self, node, kind, patience=PATIENCE, **params):
        """Sends a query until it is answered, and gives the result."""
        magic = secrets.randbits(64)
        if node in self.tokens:
            params["token"] = self.tokens[node]
        query = {"magic": magic, "requestor": self.me, "type": kind, "params": params}
        datagram = json.dumps(query).encode()
        end = time.monotonic() + patience
        while time.monotonic() < end:
            self.udp.sendto(datagram, node)
            try:
                while True:
                    received, sender = self.udp.recvfrom(2048)
                    answer = json.loads(received)
                    if sender != node:
                        continue
                    if "type" in answer:
                        self.answer(answer, sender)
                    elif answer.get("magic") == magic:
                        if "error" in answer:
                            raise Refused(answer["error"])
                        assert answer["resp"] is True, answer
                        result = answer["result"]
                        if "token" in result:
                            self.tokens[node] = result["token"]
                        return result
            except socket.timeout:
                pass
        raise TimeoutError(f"{node} does not answer {kind}")

    def answer(self, query, sender):
        """Nodes ask us, too: at least whether we are there."""
        if query["type"] == "ping_node":
            reply = {"magic": query["magic"], "resp": True, "result": {"id": self.me["id"]}}
        else:
            reply = {"magic": query["magic"], "error": "unknown type"}
        self.udp.sendto(json.dumps(reply).encode(), sender)

    def look_up(self, start, kind, key):
        """Asks nearer and nearer nodes. Gives the result of the first that satisfies, or the nodes nearest to the key."""
        key_number = int(key, 16)
        known, asked, answered = {start: None}, set(), set()
        while True:
            waiting = [node for node in known if node not in asked]
            waiting.sort(key=lambda node: known[node] ^ key_number if known[node] is not None else 0)
            if not waiting or len(asked) > 64:
                return None, sorted(answered, key=lambda node: known[node] ^ key_number)
            node = waiting[0]
            asked.add(node)
            try:
                result = self.ask(node, kind, PATIENCE if node == start else SILENCE, id=key, pad="." * 400)
            except (TimeoutError, Refused):
                continue
            known[node] = int(result["id"], 16)
            answered.add(node)
            if kind == "find_value" and ("data" in result or result.get("providers")):
                return result, None
            for other in result.get("nodes", []):
                known.setdefault((other["addr"], other["port"]), int(other["id"], 16))

    def value(self, start, key):
        result, _ = self.look_up(start, "find_value", key)
        if result is None:
            raise KeyError(key)
        if "data" in result:
            data = base64.b64decode(result["data"])
            assert hashlib.sha256(data).hexdigest() == key
            return data
        for provider in result["providers"]:
            try:
                data = transfer((provider["addr"], provider["port"]), key)
            except OSError:
                # Who announced it may be gone; others have it.
                continue
            if data is not None and hashlib.sha256(data).hexdigest() == key:
                return data
        raise KeyError(key)

    def file(self, start, key):
        lines = self.value(start, key).decode().splitlines()
        assert lines[0] == "photongate-file 1", lines[0]
        pieces = []
        for line in lines[1:]:
            piece, size = line.split(" ")
            data = self.value(start, piece)
            assert len(data) == int(size)
            pieces.append(data)
        return b"".join(pieces)

    def put(self, start, value):
        key = hashlib.sha256(value).hexdigest()
        fetched = threading.Semaphore(0)
        threading.Thread(target=self.serve, args=(key, value, fetched), daemon=True).start()
        _, nearest = self.look_up(start, "find_node", key)
        stored = []
        for node in nearest[:8]:
            try:
                stored.append(self.ask(node, "store_value", id=key, size=len(value))["stored"])
            except (TimeoutError, Refused):
                pass
        assert "kept" in stored or "pull" in stored, stored
        # All of them, as nobody else has it yet.
        for _ in range(stored.count("pull")):
            assert fetched.acquire(timeout=PATIENCE), "not all have fetched the value that said so"
        return key

    def serve(self, key, value, fetched):
        while True:
            connection, _ = self.listener.accept()
            with connection, connection.makefile("rwb") as stream:
                if stream.readline().strip().decode() == key:
                    stream.write(f"{len(value)}\n".encode() + value)
                    stream.flush()
                    fetched.release()
                else:
                    stream.write(b"-1\n")


def transfer(node, key):
    """A value over TCP; None if the node does not have it."""
    with socket.create_connection(node, timeout=PATIENCE) as connection, connection.makefile("rwb") as stream:
        stream.write(key.encode() + b"\n")
        stream.flush()
        size = int(stream.readline(80))
        if size < 0:
            assert stream.read(1) == b"", "the connection ends after a miss"
            return None
        assert size <= LONGEST_VALUE
        data = stream.read(size)
        return data if len(data) == size else None


def nonsense(client, node):
    for datagram in [b"", b"{", b"[]", b'{"magic": 1}', b"[" * 1000, os.urandom(500), b"x" * 3000]:
        client.udp.sendto(datagram, node)
    for line in [b"\n", b"short\n", b"g" * 64 + b"\n", b"x" * 1000, os.urandom(64) + b"\n"]:
        with socket.create_connection(node, timeout=PATIENCE) as connection:
            connection.sendall(line)
            with connection.makefile("rb") as stream:
                assert stream.readline() == b"-1\n", line
    try:
        client.ask(node, "drop_tables", id="00" * 32)
        raise AssertionError("an unknown query is refused")
    except Refused:
        pass
    # Without a token nothing is stored.
    stranger = Client(client.me["addr"])
    try:
        stranger.ask(node, "store_value", id="00" * 32, size=1)
        raise AssertionError("a value is announced without a token")
    except Refused:
        pass


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    node, command = (host, int(port)), sys.argv[2]
    client = Client(host)
    if command == "ping":
        print(client.ask(node, "ping_node")["id"])
    elif command == "nodes":
        for found in client.ask(node, "find_node", id=sys.argv[3], pad="." * 400)["nodes"]:
            print(found["id"], found["addr"], found["port"])
    elif command == "get":
        sys.stdout.buffer.write(client.value(node, sys.argv[3]))
    elif command == "file":
        sys.stdout.buffer.write(client.file(node, sys.argv[3]))
    elif command == "put":
        print(client.put(node, sys.stdin.buffer.read()))
    elif command == "nonsense":
        nonsense(client, node)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
