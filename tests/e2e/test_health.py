"""Standard services: grpc.health.v1, grpc.reflection.v1, and the ops listener."""

import grpc
from google.protobuf import descriptor_pb2


def reflect(peer, **question):
    request = peer.stubs.reflection.ServerReflectionRequest(**question)
    return next(iter(peer.reflection.ServerReflectionInfo(iter([request]), timeout=5)))


def test_health_of_the_whole_gateway_is_serving(connect, stubs):
    peer = connect("health-triage")
    answer = peer.health.Check(stubs.health.HealthCheckRequest(), timeout=5)
    assert answer.status == stubs.health.HealthCheckResponse.SERVING


def test_health_of_a_named_service_is_serving(connect, stubs):
    peer = connect("health-triage")
    request = stubs.health.HealthCheckRequest(service="sluice.v1.ExchangeService")
    assert peer.health.Check(request, timeout=5).status == stubs.health.HealthCheckResponse.SERVING


def test_health_of_an_unknown_service_is_not_found(connect, stubs):
    peer = connect("health-triage")
    failure = peer.failure(lambda: peer.health.Check(
        stubs.health.HealthCheckRequest(service="no.such.Service"), timeout=5))
    assert failure.code == grpc.StatusCode.NOT_FOUND


def test_reflection_lists_the_services_of_the_systems_port(connect):
    answer = reflect(connect("health-triage"), list_services="*")
    names = {service.name for service in answer.list_services_response.service}
    assert {"sluice.v1.ExchangeService", "sluice.v1.CatalogService", "grpc.health.v1.Health"} <= names
    assert "sluice.v1.AgreementService" not in names


def test_reflection_lists_the_services_of_the_officers_port(connect):
    answer = reflect(connect("statistics-officer", "officers"), list_services="*")
    names = {service.name for service in answer.list_services_response.service}
    assert {"sluice.v1.AgreementService", "sluice.v1.AuditService"} <= names


def test_reflection_serves_the_file_of_a_symbol(connect):
    answer = reflect(connect("health-triage"), file_containing_symbol="sluice.v1.ExchangeService")
    files = [descriptor_pb2.FileDescriptorProto.FromString(raw)
             for raw in answer.file_descriptor_response.file_descriptor_proto]
    assert "sluice/v1/exchange.proto" in [file.name for file in files]


def test_reflection_of_an_unknown_symbol_is_not_found(connect):
    answer = reflect(connect("health-triage"), file_containing_symbol="no.such.Symbol")
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


def test_ops_listener_answers_health_readiness_and_metrics(gateway):
    assert gateway.ops("/healthz")[0] == 200
    assert gateway.ops("/readyz")[0] == 200
    status, text = gateway.ops("/metrics")
    assert status == 200
    assert "# TYPE sluice_" in text


def test_ops_listener_refuses_an_unknown_path(gateway):
    assert gateway.ops("/no-such-path")[0] == 404
