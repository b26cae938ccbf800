"""Reads batches of streams with libexpat as Prosody and ejabberd use it.

Input: the number of streams, then of each the number of its pieces, then of each piece its length and its bytes; numbers are
four bytes, the most significant first. Output: a line of JSON for each stream: for each server a list with what came of each
piece, as far as there is no error. A piece is fed without its last byte and then with it, so that an element that ends there
is told apart from one that ended before.
"""

import json
import pyexpat
import struct
import sys

XML = "http://www.w3.org/XML/1998/namespace"


class Reader:
    def __init__(self, encoding, separator, triplets):
        self.separator = separator
        self.parser = pyexpat.ParserCreate(encoding, namespace_separator=separator)
        self.parser.namespace_prefixes = triplets
        if hasattr(self.parser, "SetReparseDeferralEnabled"):
            self.parser.SetReparseDeferralEnabled(False)
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.depth = 0
        self.open = None
        self.done = []

    def split(self, name):
        parts = name.split(self.separator)
        return ["", parts[0]] if len(parts) == 1 else parts[:2]

    def start(self, name, attributes):
        if self.depth == 1:
            known = {"/".join(self.split(key)): value for key, value in attributes.items()}
            namespace, local = self.split(name)
            self.open = {
                "namespace": namespace,
                "local": local,
                "attributes": [
                    known.get(key) for key in ["/from", "/to", "/id", "/type", XML + "/lang"]
                ],
            }
        self.depth += 1

    def end(self, _name):
        self.depth -= 1
        if self.depth == 1:
            self.done.append(self.open)

    def feed(self, piece):
        try:
            self.parser.Parse(piece[:-1], False)
            early, self.done = self.done, []
            self.parser.Parse(piece[-1:], False)
            late, self.done = self.done, []
        except pyexpat.ExpatError as error:
            return {"error": str(error)}
        return {"early": early, "late": late, "closed": self.depth == 0}


def read(pieces):
    servers = [Reader(None, "\x01", False), Reader("UTF-8", "\n", True)]
    results = []
    for reader in servers:
        seen = []
        for piece in pieces:
            seen.append(reader.feed(piece))
            if "error" in seen[-1]:
                break
        results.append(seen)
    return results


def main():
    stdin, stdout = sys.stdin.buffer, sys.stdout

    def number():
        raw = stdin.read(4)
        return struct.unpack(">I", raw)[0] if len(raw) == 4 else None

    while (count := number()) is not None:
        batch = []
        for _ in range(count):
            batch.append([stdin.read(number()) for _ in range(number())])
        for pieces in batch:
            stdout.write(json.dumps(read(pieces)) + "\n")
        stdout.flush()


main()
