"""The audit log read straight from its tables, and RFC 6962 written a second time in Python."""

import base64
import hashlib
from collections import Counter


def leaf_hash(leaf):
    return hashlib.sha256(b"\x00" + leaf).digest()


def root(hashes):
    """Merkle tree hash of RFC 6962 section 2.1 over leaf hashes."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return hashlib.sha256(b"\x01" + root(hashes[:split]) + root(hashes[split:])).digest()


def parse_note(note):
    """(origin, size, root, signature lines) of a C2SP checkpoint."""
    text, _, signatures = note.partition("\n\n")
    origin, size, encoded = text.split("\n")[:3]
    return origin, int(size), base64.b64decode(encoded), [line for line in signatures.split("\n") if line]


class AuditLog:
    def __init__(self, cluster, stubs):
        self.cluster = cluster
        self.entry_type = stubs.audit_entry.AuditEntry

    def leaves(self, above=-1):
        return [bytes(leaf) for leaf, in self.cluster.rows(
            "control", "SELECT leaf FROM audit.entry WHERE index > %s ORDER BY index", [above])]

    def size(self):
        return self.cluster.rows("control", "SELECT size FROM audit.head")[0][0]

    def head(self):
        """(size, root, all leaves) in one snapshot."""
        with self.cluster.connect("control") as connection, connection.cursor() as cursor:
            connection.set_session(isolation_level="REPEATABLE READ", readonly=True, autocommit=False)
            cursor.execute("SELECT size, root FROM audit.head")
            size, head_root = cursor.fetchone()
            cursor.execute("SELECT leaf FROM audit.entry ORDER BY index")
            return size, bytes(head_root), [bytes(leaf) for leaf, in cursor.fetchall()]

    def entries(self, above=-1, **where):
        """Decoded entries above an index; where: subject=…, request_id=…"""
        found = []
        for leaf in self.leaves(above):
            entry = self.entry_type.FromString(leaf)
            flat = {"subject": entry.who.subject, "request_id": entry.request_id,
                    "agreement": entry.why.agreement, "dataset": entry.what.dataset}
            if all(flat[name] == value for name, value in where.items()):
                found.append(entry)
        return found

    def decisions(self, **where):
        kinds = (self.entry_type.DECISION, self.entry_type.DENIALS)
        return [entry for entry in self.entries(**where) if entry.kind in kinds]

    def counters_are_gapless(self):
        """Per boot id the counters are 1, 2, 3, …, each once."""
        seen = {}
        for entry in self.entries():
            seen.setdefault(entry.boot_id, []).append(entry.counter)
        return all(sorted(counters) == list(range(1, len(counters) + 1)) for counters in seen.values())

    def ids_are_unique(self):
        return max(Counter(entry.id for entry in self.entries()).values(), default=1) == 1
