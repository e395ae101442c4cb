"""gRPC clients made by protoc's own Python plug-in and Debian's grpcio: nothing of ours is in them."""

import importlib
import sys
import uuid
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import grpc
import google
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from harness import REPO, run

PURPOSE = "medical-triage"


def make_stubs(folder):
    """Generates the public API's stubs into `folder` and imports them."""
    protos = [str(p.relative_to(REPO / "proto")) for root in ("sluice/v1", "sluice/options", "google/rpc",
              "grpc/health", "grpc/reflection") for p in sorted((REPO / "proto" / root).rglob("*.proto"))]
    run("protoc", f"--proto_path={REPO / 'proto'}", "--proto_path=/usr/include",
        "--plugin=protoc-gen-grpc_python=/usr/bin/grpc_python_plugin",
        f"--python_out={folder}", f"--grpc_python_out={folder}", *protos)
    sys.path.insert(0, str(folder))
    # google and grpc are installed packages; our generated ones live beside them under the same names.
    google.__path__.append(str(folder / "google"))
    grpc.__path__.append(str(folder / "grpc"))
    load = importlib.import_module
    names = SimpleNamespace()
    for short in ("agreement", "audit", "audit_entry", "catalog", "exchange", "quality", "record", "schema",
                  "transfer"):
        setattr(names, short, load(f"sluice.v1.{short}_pb2"))
        setattr(names, f"{short}_grpc", load(f"sluice.v1.{short}_pb2_grpc"))
    names.health = load("grpc.health.v1.health_pb2")
    names.health_grpc = load("grpc.health.v1.health_pb2_grpc")
    names.reflection = load("grpc.reflection.v1.reflection_pb2")
    names.reflection_grpc = load("grpc.reflection.v1.reflection_pb2_grpc")
    names.status = load("google.rpc.status_pb2")
    names.details = load("google.rpc.error_details_pb2")
    return names


class Failure:
    """What a failed call said: code, ErrorInfo reason, sentence."""

    def __init__(self, stubs, error):
        self.code = error.code()
        self.text = error.details()
        self.reason = None
        self.retry_s = None
        trailers = dict(error.trailing_metadata() or ())
        if "grpc-status-details-bin" in trailers:
            status = stubs.status.Status.FromString(trailers["grpc-status-details-bin"])
            assert status.code == self.code.value[0]
            for detail in status.details:
                info = stubs.details.ErrorInfo()
                if detail.Unpack(info):
                    self.reason = info.reason
                    assert info.domain, "ErrorInfo without a domain"
                retry = stubs.details.RetryInfo()
                if detail.Unpack(retry):
                    self.retry_s = retry.retry_delay.ToTimedelta().total_seconds()

    def __repr__(self):
        return f"{self.code.name}/{self.reason}: {self.text}"


class Peer:
    """One identity talking to one listener of one gateway."""

    def __init__(self, stubs, gateway, certificate, listener="systems", options=()):
        self.stubs = stubs
        self.certificate = certificate
        pki = gateway.pki
        credentials = grpc.ssl_channel_credentials(
            pki.read("ca.pem"), pki.read(f"{certificate}.key"), pki.read(f"{certificate}.pem"))
        self.channel = grpc.secure_channel(
            f"127.0.0.1:{gateway.ports[listener]}", credentials,
            options=[("grpc.max_receive_message_length", 64 << 20), ("grpc.enable_http_proxy", 0),
                     # Peers of one test do not share a connection.
                     ("grpc.use_local_subchannel_pool", 1), *options])
        self.exchange = stubs.exchange_grpc.ExchangeServiceStub(self.channel)
        self.catalog = stubs.catalog_grpc.CatalogServiceStub(self.channel)
        self.agreements = stubs.agreement_grpc.AgreementServiceStub(self.channel)
        self.audit = stubs.audit_grpc.AuditServiceStub(self.channel)
        self.quality = stubs.quality_grpc.QualityServiceStub(self.channel)
        self.schemas = stubs.schema_grpc.SchemaServiceStub(self.channel)
        self.transfers = stubs.transfer_grpc.TransferServiceStub(self.channel)
        self.health = stubs.health_grpc.HealthStub(self.channel)
        self.reflection = stubs.reflection_grpc.ServerReflectionStub(self.channel)

    def close(self):
        self.channel.close()

    def failure(self, call):
        """Runs call(), which must fail; answers how."""
        try:
            answer = call()
            if hasattr(answer, "__next__"):
                list(answer)
        except grpc.RpcError as error:
            return Failure(self.stubs, error)
        raise AssertionError("the call succeeded")

    # --- a department's system ------------------------------------------------------------------
    def lookup(self, dataset, key, purpose=PURPOSE, timeout=10, fields=(), **rest):
        request = self.stubs.exchange.LookupRequest(dataset=dataset, key=key, purpose=purpose, **rest)
        request.fields.paths.extend(fields)
        return self.exchange.Lookup(request, timeout=timeout)

    def batch_lookup(self, dataset, keys, purpose=PURPOSE, timeout=20, fields=(), **rest):
        request = self.stubs.exchange.BatchLookupRequest(dataset=dataset, keys=keys, purpose=purpose, **rest)
        request.fields.paths.extend(fields)
        return self.exchange.BatchLookup(request, timeout=timeout)

    def query(self, dataset, filter="", purpose=PURPOSE, timeout=60, fields=(), **rest):
        request = self.stubs.exchange.QueryRequest(dataset=dataset, filter=filter, purpose=purpose, **rest)
        request.fields.paths.extend(fields)
        return self.exchange.Query(request, timeout=timeout)

    # --- an officer -----------------------------------------------------------------------------
    def grant(self, consumer, dataset, fields, purposes=(PURPOSE,), modes=("LOOKUP", "QUERY"),
              valid_from=timedelta(minutes=-1), valid_until=timedelta(days=1), **rest):
        agreement = self.stubs.agreement.Agreement(
            consumer=consumer, dataset=dataset, fields=fields, purposes=purposes, modes=modes,
            legal_basis="政务数据共享条例 第十四条", **rest)
        now = datetime.now(timezone.utc)
        agreement.valid_from.FromDatetime((now + valid_from).replace(tzinfo=None))
        agreement.valid_until.FromDatetime((now + valid_until).replace(tzinfo=None))
        return self.agreements.GrantAgreement(
            self.stubs.agreement.GrantAgreementRequest(agreement=agreement), timeout=10)

    def revoke(self, agreement_id, reason="test"):
        return self.agreements.RevokeAgreement(
            self.stubs.agreement.RevokeAgreementRequest(id=agreement_id, reason=reason), timeout=10)


class Records:
    """Reads canonical records with nothing but the descriptor set that the catalogue serves."""

    def __init__(self, dataset):
        pool = descriptor_pool.DescriptorPool()
        for file in descriptor_pb2.FileDescriptorSet.FromString(dataset.descriptor_set).file:
            pool.Add(file)
        self.type = message_factory.MessageFactory(pool).GetPrototype(
            pool.FindMessageTypeByName(dataset.type_name))

    def read(self, record):
        """A record as bytes or Any."""
        return self.type.FromString(record if isinstance(record, bytes) else record.value)

    def of_stream(self, batches):
        for batch in batches:
            for record in batch.records:
                yield self.read(record)


def unique(prefix="t"):
    return f"{prefix}-{uuid.uuid4().hex[:10]}"
