#!/usr/bin/env python3
"""A node of the distributed store's plain mode that does harm, written from docs/protocol/dht.md and dht-values.md alone.

    hostile.py wrong HOST:PORT PEER... NOWHERE       # claims to have every value, and serves something else
    hostile.py neighbours HOST:PORT PEER... NOWHERE  # names nodes that do not exist, at addresses that begin with NOWHERE
    hostile.py stall HOST:PORT PEER... NOWHERE       # claims to have every value, and stops in the middle of it

It lies about small values, and announces values that there are not, only when somebody has asked it for a value: or nobody would, as nobody hears
who was found out. It joins like any other node, answers pings and says that it keeps what it is offered. On standard output it says of each misdeed which it was,
in a line that begins with `harm:`.
"""

import base64
import json
import os
import secrets
import socket
import sys
import threading
import time

PORT = 8484
PIECE = 256 << 10


class Hostile:
    def __init__(self, role, host, port, peers, nowhere):
        self.role, self.nowhere, self.peers = role, nowhere, peers
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((host, port))
        self.udp.settimeout(0.05)
        self.tcp = socket.create_server((host, port))
        self.me = {"id": os.urandom(32).hex(), "addr": host, "port": port}
        self.known = {}
        self.tokens = {}
        # Lengths of values that it was offered, or says it has.
        self.sizes = {}
        self.was_asked = threading.Event()
        self.told = threading.Lock()

    def tell(self, misdeed):
        with self.told:
            print("harm:", misdeed, flush=True)

    def run(self):
        threading.Thread(target=self.serve, daemon=True).start()
        introduce_at = 0
        while True:
            if time.monotonic() >= introduce_at:
                introduce_at = time.monotonic() + 0.5
                self.introduce()
            try:
                datagram, sender = self.udp.recvfrom(2048)
                message = json.loads(datagram)
            except (OSError, ValueError):
                continue
            if "type" in message:
                self.answer(message, sender)
            elif "result" in message:
                self.learn(message["result"], sender)

    def introduce(self):
        """Asks everybody, so that everybody knows it; and announces what there is not."""
        for peer in self.peers:
            self.ask(peer, "find_node", id=self.me["id"], pad="." * 400)
        if self.was_asked.is_set():
            for peer, token in self.tokens.items():
                key = os.urandom(32).hex()
                self.sizes[key] = 5000
                self.ask(peer, "store_value", id=key, size=5000, token=token)

    def ask(self, peer, kind, **params):
        query = {"magic": secrets.randbits(64), "requestor": self.me, "type": kind, "params": params}
        self.send(query, peer)

    def send(self, message, to):
        try:
            self.udp.sendto(json.dumps(message).encode(), to)
        except OSError:
            pass

    def learn(self, result, sender):
        self.known[sender] = result["id"]
        if "token" in result:
            self.tokens[sender] = result["token"]

    def answer(self, query, sender):
        kind, params = query["type"], query["params"]
        result = {"id": self.me["id"]}
        if kind in ("find_node", "find_value"):
            result["token"] = secrets.token_hex(16)
            result["nodes"] = self.neighbours(params["id"])
        if kind == "find_value":
            result["providers"] = [self.me] + result["nodes"][:2]
            result["count"] = 3
            if self.role == "wrong" and self.was_asked.is_set() and secrets.randbelow(4) == 0:
                # As if the value were a small one.
                result["data"] = base64.b64encode(os.urandom(30)).decode()
                self.tell("wrong data in an answer")
        elif kind == "store_value":
            self.sizes[params["id"]] = params["size"]
            result["stored"] = "kept"
        self.send({"magic": query["magic"], "resp": True, "result": result}, sender)

    def neighbours(self, target):
        if self.role != "neighbours":
            return [{"id": node, "addr": addr, "port": port} for (addr, port), node in self.known.items()]
        self.tell("false neighbours")
        # Nearer to what is looked for than any that exists.
        start = secrets.randbelow(240) + 2
        return [
            {"id": target[:16] + os.urandom(24).hex(), "addr": f"{self.nowhere}.{start + i}", "port": PORT} for i in range(7)
        ]

    def serve(self):
        while True:
            connection, _ = self.tcp.accept()
            threading.Thread(target=self.converse, args=(connection,), daemon=True).start()

    def converse(self, connection):
        try:
            with connection, connection.makefile("rwb") as stream:
                while key := stream.readline(80).strip().decode():
                    self.give(stream, self.sizes.get(key, PIECE))
        except OSError:
            pass

    def give(self, stream, size):
        if self.role == "neighbours":
            stream.write(b"-1\n")
            stream.flush()
            return
        self.was_asked.set()
        if self.role == "wrong":
            self.tell("a wrong value")
            stream.write(f"{size}\n".encode() + os.urandom(size))
            stream.flush()
        else:
            self.tell("a value in part")
            how = secrets.randbelow(3)
            if how > 0:
                stream.write(f"{size}\n".encode() + os.urandom(size // 2))
                stream.flush()
            # It says nothing any more, or a byte now and then.
            while how < 2:
                time.sleep(60)
            while True:
                time.sleep(0.3)
                stream.write(b"x")
                stream.flush()


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def main():
    if len(sys.argv) < 5 or sys.argv[1] not in ("wrong", "neighbours", "stall"):
        sys.exit(__doc__)
    role, me, *peers, nowhere = sys.argv[1:]
    Hostile(role, *address(me), [address(peer) for peer in peers], nowhere).run()


if __name__ == "__main__":
    main()
