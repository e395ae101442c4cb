"""Who may call what: each method of the public API with each role, a department's system, and an officer whom
nobody registered. What is allowed gets past the door: then its empty request is refused for another reason."""

import subprocess

import grpc
import psycopg2
import pytest

from clients import Failure, Peer, unique
from harness import BUILD, TRUST_DOMAIN, run, wait_for

ROLES = ("requester", "approver", "auditor", "administrator")
EVERY = set(ROLES)
REQUESTER, APPROVER, AUDITOR = {"requester"}, {"approver"}, {"auditor"}
CASEWORK = REQUESTER | APPROVER
ADMINISTRATOR = {"administrator"}

# Method -> the roles of officers who may call it; a method that is not here fails the test.
OFFICERS = {
    "AgreementService": {
        "GrantAgreement": APPROVER, "RevokeAgreement": APPROVER, "GetAgreement": EVERY, "ListAgreements": EVERY,
        "ExplainAccess": EVERY, "RequestAccess": REQUESTER, "GetApplication": EVERY, "ListApplications": EVERY,
        "SignOff": APPROVER,
        "SubmitApplication": REQUESTER, "AskSupplement": APPROVER, "AnswerSupplement": REQUESTER,
        "AskExtension": APPROVER, "Extend": APPROVER, "Decide": APPROVER, "Provision": APPROVER,
        "Activate": APPROVER, "Suspend": APPROVER, "Resume": APPROVER, "Terminate": APPROVER,
        "RequireDisposal": APPROVER, "ConfirmDisposal": REQUESTER, "ListDue": EVERY,
        "GetScorecard": EVERY},
    "AuditService": {
        "GetCheckpoint": EVERY, "GetConsistencyProof": EVERY, "GetInclusionProof": AUDITOR, "GetEntry": AUDITOR,
        "Search": AUDITOR, "GetStatistics": AUDITOR, "ExportEvidence": AUDITOR, "SaveFilter": AUDITOR,
        "ListFilters": AUDITOR, "DeleteFilter": AUDITOR, "ListOpenings": AUDITOR | APPROVER,
        "RequestOpening": APPROVER, "ApproveOpening": APPROVER, "RecordKeyChange": APPROVER | ADMINISTRATOR,
        "RequestErasure": APPROVER, "ApproveErasure": APPROVER, "ListErasures": AUDITOR | APPROVER,
        "AnnounceArchive": APPROVER | ADMINISTRATOR, "PlaceHold": APPROVER, "RequestLift": APPROVER,
        "ApproveLift": APPROVER, "ListHolds": AUDITOR | APPROVER},
    "CatalogService": {
        "GetDataset": EVERY, "ListDatasets": EVERY, "GetCatalogueEntry": EVERY, "ListCatalogueEntries": EVERY,
        "ListOverlaps": EVERY, "ImportCatalogue": REQUESTER, "TakeCatalogueStep": CASEWORK},
    "QualityService": {
        "Assess": CASEWORK, "CompareDatasets": CASEWORK, "GetReport": EVERY, "ListQuarantine": CASEWORK,
        "ViewQuarantined": CASEWORK, "Replay": CASEWORK},
    "SchemaService": {
        "Check": EVERY, "Diff": EVERY, "Get": EVERY, "List": EVERY, "Approve": APPROVER,
        "Publish": CASEWORK | ADMINISTRATOR},
    "TransferService": {
        "CreateTransfer": CASEWORK, "GetTransfer": EVERY, "ListTransfers": EVERY, "WatchTransfer": EVERY,
        "PauseTransfer": CASEWORK, "ResumeTransfer": CASEWORK, "CancelTransfer": CASEWORK,
        "VerifyTransfer": CASEWORK | AUDITOR},
    "ExchangeService": {},  # systems only
}
SYSTEMS = {"ExchangeService": {"Lookup", "BatchLookup", "Query", "Verify"},
           "CatalogService": {"GetDataset", "ListDatasets"},
           "TransferService": set(OFFICERS["TransferService"])}


@pytest.fixture(scope="module")
def methods(stubs):
    """Every method of the public API: (service, name, descriptor)."""
    found = []
    for module in ("agreement", "audit", "catalog", "exchange", "quality", "schema", "transfer"):
        for service in getattr(stubs, module).DESCRIPTOR.services_by_name.values():
            found += [(service.name, method.name, method) for method in service.methods]
    return found


@pytest.fixture(scope="module")
def people(gateway, cluster, pki, stubs):
    """An officer of each role, one without registration, and a system."""
    def connect(kind, listener, roles=None):
        name = unique(kind)
        if roles:
            run(BUILD / "sluice", "officer", "add", f"statistics/{name}", "--roles", roles, "--database",
                cluster.conninfo["control"])
        where = "system" if kind == "system" else "officer"
        certificate = pki.issue(f"statistics-{name}", f"spiffe://{TRUST_DOMAIN}/dept/statistics/{where}/{name}")
        return Peer(stubs, gateway, certificate, listener)
    made = {role: connect(role, "officers", role) for role in ROLES}
    made["stranger"] = connect("stranger", "officers")
    made["system"] = connect("system", "systems")
    made["system on the officers' port"] = connect("system", "officers")
    made["officer on the systems' port"] = connect("officer", "systems", "requester,approver,auditor")

    def known():
        return all(reason(made[role], ("SchemaService", "List", list_method)) != "OFFICER_UNKNOWN" for role in ROLES)
    list_method = stubs.schema.DESCRIPTOR.services_by_name["SchemaService"].methods_by_name["List"]
    wait_for(known, 5, "the officers to be known")
    yield made
    for peer in made.values():
        peer.close()


def reason(peer, method):
    """Why an empty request was refused; None when it was not."""
    service, name, descriptor = method
    kind = "stream" if descriptor.server_streaming else "unary"
    call = getattr(peer.channel, f"unary_{kind}")(f"/sluice.v1.{service}/{name}")
    try:
        answer = call(b"", timeout=10)
        if kind == "stream":
            next(iter(answer), None)
            answer.cancel()
    except grpc.RpcError as error:
        failure = Failure(peer.stubs, error)
        assert failure.text
        return failure.reason or failure.code.name
    return None


def test_the_table_has_every_method(methods):
    listed = {(service, name) for service, names in OFFICERS.items() for name in names}
    listed |= {(service, name) for service, names in SYSTEMS.items() for name in names}
    assert {(service, name) for service, name, _ in methods} == listed


@pytest.mark.parametrize("role", ROLES)
def test_an_officer_may_what_the_role_says(people, methods, role):
    wrong = []
    for method in methods:
        allowed = OFFICERS[method[0]].get(method[1])
        if allowed is None:
            continue
        said = reason(people[role], method)
        if (said == "ROLE_LACKING") != (role not in allowed):
            wrong.append((method[:2], said))
    assert not wrong, wrong


def test_who_is_not_registered_may_nothing(people, methods):
    wrong = [(method[:2], said) for method in methods if method[1] in OFFICERS[method[0]]
             for said in [reason(people["stranger"], method)] if said != "OFFICER_UNKNOWN"]
    assert not wrong, wrong


def test_systems_and_officers_have_ports_of_their_own(people, methods):
    for method in methods:
        served = method[1] in SYSTEMS.get(method[0], ())
        said = reason(people["system"], method)
        assert said == "METHOD_UNKNOWN" if not served else said not in ("METHOD_UNKNOWN", "ROLE_LACKING"), method[:2]
        said = reason(people["officer on the systems' port"], method)
        assert said == ("WRONG_PORT" if served else "METHOD_UNKNOWN"), (method[:2], said)
        said = reason(people["system on the officers' port"], method)
        assert said == ("WRONG_PORT" if method[1] in OFFICERS[method[0]] else "METHOD_UNKNOWN"), (method[:2], said)


def test_a_role_that_is_taken_away_is_gone(cluster, gateway, pki, stubs, people, methods):
    name = unique("moved")
    person = f"statistics/{name}"
    grant = next(method for method in methods if method[1] == "GrantAgreement")

    def roles(text):
        return run(BUILD / "sluice", "officer", "add", person, "--roles", text, "--database",
                   cluster.conninfo["control"])
    roles("approver")
    peer = Peer(stubs, gateway, pki.issue(f"statistics-{name}",
                                          f"spiffe://{TRUST_DOMAIN}/dept/statistics/officer/{name}"), "officers")
    wait_for(lambda: reason(peer, grant) not in ("OFFICER_UNKNOWN", "ROLE_LACKING"), 5, "the role")
    roles("requester,auditor")
    wait_for(lambda: reason(peer, grant) == "ROLE_LACKING", 2, "the role to be gone")
    peer.close()
    listed = run(BUILD / "sluice", "officer", "list", "--format", "csv", "--database", cluster.conninfo["control"])
    assert f"statistics,{name},,\"requester,auditor\"" in listed


@pytest.mark.parametrize("roles", ["", "clerk", "auditor,administrator", "auditor,auditor", "auditor,", ",auditor"])
def test_roles_that_cannot_be_are_refused(cluster, roles, people):
    done = subprocess.run([BUILD / "sluice", "officer", "add", f"statistics/{unique('x')}", "--roles", roles,
                           "--database", cluster.conninfo["control"]], capture_output=True, text=True)
    assert done.returncode == 2 and "roles" in done.stderr
    with pytest.raises(psycopg2.errors.CheckViolation):
        cluster.rows("control", "INSERT INTO control.officer (department, name, roles) VALUES ('statistics', 'x', %s)",
                     [["auditor", "administrator"]])
