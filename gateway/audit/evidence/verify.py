#!/usr/bin/env python3
"""Checks an evidence bundle of a Sluice audit log with nothing but Python and openssl.

    python3 verify.py evidence.zip policy.txt

policy.txt is what the log's owner published elsewhere; never take it from the bundle. Written to be read:
the hashing is RFC 6962, the checkpoint a C2SP signed note.
Prints what it checked and ends with status 0; any fault ends it with status 1.

用法同上。policy.txt 须取自日志所有者另行公布之处，切勿取自证据包本身。
"""

import base64
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path


def fail(text):
    print("WRONG 错误:", text)
    sys.exit(1)


def sha256(data):
    return hashlib.sha256(data).digest()


def root_from_path(index, size, leaf_hash, path):
    """RFC 9162 section 2.1.3.2."""
    if not 0 <= index < size:
        fail("the entry is not in the tree")
    fn, sn, root = index, size - 1, leaf_hash
    for node in path:
        if sn == 0:
            fail("the proof is too long")
        if fn & 1 or fn == sn:
            root = sha256(b"\x01" + node + root)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            root = sha256(b"\x01" + root + node)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        fail("the proof is too short")
    return root


class Key:
    """A verifier key: name+key id+base64(type byte, public key)."""

    def __init__(self, text):
        self.name, key_id, encoded = text.split("+", 2)
        data = base64.b64decode(encoded)
        if sha256(self.name.encode() + b"\n" + data)[:4].hex() != key_id:
            fail("a key of the policy does not fit its own id")
        self.ed25519, self.public, self.id = data[0] == 1, data[1:], bytes.fromhex(key_id)

    def signed(self, text, signature):
        der = bytes.fromhex("302a300506032b6570032100") + self.public  # RFC 8410
        with tempfile.TemporaryDirectory() as folder:
            for name, data in (("key", der), ("text", text), ("signature", signature)):
                Path(folder, name).write_bytes(data)
            return subprocess.run(
                ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", "key", "-rawin",
                 "-in", "text", "-sigfile", "signature"], cwd=folder, capture_output=True).returncode == 0


def signed_text(note, key):
    """The text of a note, if this key signed it."""
    text, _, lines = note.rpartition("\n\n")
    text += "\n"
    for line in lines.splitlines():
        name, _, encoded = line.removeprefix("\u2014 ").partition(" ")
        blob = base64.b64decode(encoded)
        if name == key.name and blob[:4] == key.id and key.signed(text.encode(), blob[4:]):
            return text
    return None


def main(bundle_path, policy_path):
    bundle = zipfile.ZipFile(bundle_path)
    names = sorted(bundle.namelist())
    read = {name: bundle.read(name) for name in names}
    for line in read["SHA256SUMS"].decode().splitlines():
        digest, name = line.split("  ", 1)
        if hashlib.sha256(read[name]).hexdigest() != digest:
            fail(f"{name} is not what SHA256SUMS says")

    keys = []
    for line in Path(policy_path).read_text().splitlines():
        words = line.split()
        if words[:1] == ["log"] and Key(words[1]).ed25519:
            keys.append(Key(words[1]))
    if len(keys) != 1:
        fail("the policy must have one Ed25519 log line")
    key = keys[0]
    for name in names:  # each change of keys is signed by the key before it
        if name.startswith("key-changes/"):
            text = signed_text(read[name].decode(), key)
            if text is None or text.split("\n")[:2] != ["sluice/key-change/v1", key.name]:
                fail(f"{name} is not signed by the key before it")
            key = Key(text.split("\n")[2])

    head, _, note = read["entry.tlog-proof"].decode().partition("\n\n")
    lines = head.split("\n")
    if lines[0] != "c2sp.org/tlog-proof@v1" or not lines[1].startswith("index "):
        fail("entry.tlog-proof is no proof")
    text = signed_text(note, key)
    if text is None:
        fail("the log's key did not sign the checkpoint")
    origin, size, root = text.split("\n")[:3]
    if origin != key.name:
        fail("the checkpoint is of another log")
    index, path = int(lines[1].split()[1]), [base64.b64decode(line) for line in lines[2:]]
    leaf_hash = sha256(b"\x00" + read["entry.bin"])
    if root_from_path(index, int(size), leaf_hash, path) != base64.b64decode(root):
        fail("the proof does not lead from the entry to the signed root")
    print(f"OK 正确: entry {index} of {origin} is in the signed tree of {size} entries")
    print("entry.bin SHA-256", hashlib.sha256(read["entry.bin"]).hexdigest())


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
