#!/usr/bin/python3
"""A consumer written with grpcio and the code protoc generates; nothing of Sluice's is imported.

    . build/demo/env && /usr/bin/python3 deploy/demo/client.py

It looks up one record, streams a filtered set, and shows what a refused call says. The record types
come from the catalogue at run time, so a new dataset needs nothing generated anew.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

REPO = Path(__file__).resolve().parents[2]
PURPOSE = "medical-triage"


def load_generated():
    """protoc --python_out --grpc_python_out; a real client does this once, in its build."""
    folder = tempfile.mkdtemp(prefix="sluice-client-")
    protos = [str(p.relative_to(REPO / "proto")) for root in ("sluice/v1", "sluice/options")
              for p in sorted((REPO / "proto" / root).glob("*.proto"))]
    subprocess.run(["protoc", f"--proto_path={REPO / 'proto'}", "--proto_path=/usr/include",
                    "--plugin=protoc-gen-grpc_python=/usr/bin/grpc_python_plugin",
                    f"--python_out={folder}", f"--grpc_python_out={folder}", *protos], check=True)
    sys.path.insert(0, folder)


load_generated()
from sluice.v1 import catalog_pb2, catalog_pb2_grpc, exchange_pb2, exchange_pb2_grpc  # noqa: E402


def environment(name):
    if name not in os.environ:
        sys.exit(f"{name} is not set; run:  . build/demo/env")
    return os.environ[name]


def read(name):
    return Path(environment(name)).read_bytes()


def record_type(catalog, dataset):
    """The message class of a dataset, from the descriptor set that the catalogue serves."""
    described = catalog.GetDataset(catalog_pb2.GetDatasetRequest(name=dataset), timeout=10)
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(described.descriptor_set).file:
        pool.Add(file)
    return message_factory.MessageFactory(pool).GetPrototype(pool.FindMessageTypeByName(described.type_name))


def main():
    credentials = grpc.ssl_channel_credentials(read("SLUICE_CA"), read("SLUICE_KEY"), read("SLUICE_CERT"))
    target = environment("SLUICE_ENDPOINT").removeprefix("https://")
    with grpc.secure_channel(target, credentials, options=[("grpc.enable_http_proxy", 0)]) as channel:
        catalog = catalog_pb2_grpc.CatalogServiceStub(channel)
        exchange = exchange_pb2_grpc.ExchangeServiceStub(channel)

        dataset = "statistics/streets"
        division = record_type(catalog, dataset)
        answer = exchange.Lookup(exchange_pb2.LookupRequest(
            dataset=dataset, key="110101001", purpose=PURPOSE), timeout=10)
        print("lookup:", text_format.MessageToString(
            division.FromString(answer.record.value), as_one_line=True, as_utf8=True))
        print("exchange:", answer.exchange_id)

        count = 0
        for batch in exchange.Query(exchange_pb2.QueryRequest(
                dataset=dataset, filter='county_code = "110105"', purpose=PURPOSE), timeout=30):
            for record in batch.records:
                count += 1
                if count <= 3:
                    print("query:", division.FromString(record).name)
        print("query:", count, "records")

        try:
            exchange.Lookup(exchange_pb2.LookupRequest(
                dataset=dataset, key="110101001", purpose="marketing"), timeout=10)
        except grpc.RpcError as error:
            print("refused:", error.code().name, "-", error.details())


if __name__ == "__main__":
    main()
