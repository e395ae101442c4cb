"""Keeps calling in the background while a test breaks something, and remembers every outcome."""

import threading
import time
from collections import Counter

import grpc

# What a caller may simply try again; a fault may cause nothing else.
RETRYABLE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.ABORTED,
             grpc.StatusCode.RESOURCE_EXHAUSTED}


class Load:
    """with Load(peers, call) as load: …   call(peer, request_id) runs on a thread per peer."""

    def __init__(self, peers, call, prefix="load"):
        self.peers = peers
        self.call = call
        self.prefix = prefix
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.answered = []  # (request id, time)
        self.errors = []    # (code, sentence, time)
        self.surprises = []
        self.threads = [threading.Thread(target=self.run, args=(number, peer), daemon=True)
                        for number, peer in enumerate(peers)]

    def run(self, number, peer):
        count = 0
        while not self.stopping.is_set():
            request_id = f"{self.prefix}-{number}-{count}"
            count += 1
            try:
                self.call(peer, request_id)
                with self.lock:
                    self.answered.append((request_id, time.monotonic()))
            except grpc.RpcError as error:
                with self.lock:
                    self.errors.append((error.code(), error.details(), time.monotonic()))
                # A caller that tries again at once would take the processor from what it waits for.
                self.stopping.wait(0.02)
            except Exception as error:  # a test's own mistake must not look like a quiet thread
                with self.lock:
                    self.surprises.append(error)
                return

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in self.threads), "a call hangs"
        assert not self.surprises, self.surprises

    def done_since(self, moment):
        with self.lock:
            return sum(1 for _, when in self.answered if when > moment)

    def codes(self):
        return Counter(code for code, _, _ in self.errors)

    def only_retryable(self):
        wrong = [(code.name, text) for code, text, _ in self.errors if code not in RETRYABLE]
        assert not wrong, wrong[:5]
