import base64
import ssl
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import NameOID

from controlplane import components, kubeconfig
from controlplane.binaries import Binaries
from controlplane.certificates import Authority, write_private
from controlplane.cluster import _stem, scheduler_configuration

BINARIES = Binaries(*(Path(f"/bin/{name}") for name in ("a", "b", "c", "d", "e", "f", "g")))


def test_a_client_certificate_names_user_and_groups(tmp_path: Path) -> None:
    pair = Authority(tmp_path / "certificates", "test").client("李伟", ("health", "readers"), "li-wei")
    certificate = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
    subject = certificate.subject
    assert [entry.value for entry in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["李伟"]
    assert {entry.value for entry in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)} == {"health", "readers"}
    context = ssl.create_default_context()
    context.load_cert_chain(pair.certificate, pair.key)
    assert pair.certificate.name == "li-wei.crt"


def test_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "certificates", "test")
    components.Credentials.make(authority)
    files = list(authority.folder.iterdir())
    assert len(files) == 9
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert authority.folder.stat().st_mode & 0o777 == 0o700


def test_a_private_file_replaces_an_open_one(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o600)


def test_a_kubeconfig_holds_all_it_needs(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "certificates", "test")
    pair = authority.client("wang")
    user = kubeconfig.certificate_credentials(pair)
    path = kubeconfig.write(
        tmp_path / "config",
        url="https://127.0.0.1:1",
        ca=authority.certificate,
        user="wang",
        credentials=user,
        namespace="ns",
    )
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert document["contexts"][0]["context"] == {"cluster": "yunchi", "user": "wang", "namespace": "ns"}
    cluster = document["clusters"][0]["cluster"]
    assert base64.b64decode(cluster["certificate-authority-data"]) == authority.certificate.read_bytes()
    assert base64.b64decode(document["users"][0]["user"]["client-key-data"]) == pair.key.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600


def test_everything_listens_on_loopback_only(tmp_path: Path) -> None:
    credentials = components.Credentials.make(Authority(tmp_path, "test"))
    etcd = components.etcd_command(BINARIES, credentials, tmp_path, 1, 2)
    api = components.api_server_command(BINARIES, credentials, 3, 1, service_accounts=True)
    listeners = [flag for flag in etcd if flag.startswith("--listen")]
    assert listeners == ["--listen-client-urls=https://127.0.0.1:1", "--listen-peer-urls=https://127.0.0.1:2"]
    assert "--bind-address=127.0.0.1" in api
    assert "--authorization-mode=RBAC" in api
    assert "--client-cert-auth=true" in etcd
    for command in (
        components.controller_manager_command(BINARIES, credentials, tmp_path),
        components.scheduler_command(BINARIES, tmp_path),
    ):
        assert "--secure-port=0" in command


def test_without_a_controller_manager_pods_need_no_service_account(tmp_path: Path) -> None:
    credentials = components.Credentials.make(Authority(tmp_path, "test"))
    flag = "--disable-admission-plugins=ServiceAccount"
    assert flag in components.api_server_command(BINARIES, credentials, 3, 1, service_accounts=False)
    assert flag not in components.api_server_command(BINARIES, credentials, 3, 1, service_accounts=True)


def test_the_scheduler_configuration_packs_under_the_name_given() -> None:
    document = yaml.safe_load(scheduler_configuration("mine", queries_per_second=100, fit_weight=5))
    assert document["leaderElection"] == {"leaderElect": False}
    assert document["clientConnection"] == {"qps": 100, "burst": 200}
    (profile,) = document["profiles"]
    assert profile["schedulerName"] == "mine"
    assert profile["pluginConfig"][0]["args"]["scoringStrategy"]["type"] == "MostAllocated"
    assert profile["plugins"]["score"]["enabled"] == [{"name": "NodeResourcesFit", "weight": 5}]
    assert "plugins" not in yaml.safe_load(scheduler_configuration())["profiles"][0]


@pytest.mark.parametrize("parts", [("system:node:a/b",), ("a", "b"), ("省厅",), ("../../etc/passwd",)])
def test_file_names_of_users_are_safe_and_their_own(parts: tuple[str, ...]) -> None:
    stem = _stem(*parts)
    assert "/" not in stem
    assert stem != _stem(*parts, "other")
    assert stem == _stem(*parts)


def test_users_that_look_alike_get_files_of_their_own() -> None:
    assert _stem("a-b") != _stem("a", "b")
    assert _stem("a/b") != _stem("a:b")
