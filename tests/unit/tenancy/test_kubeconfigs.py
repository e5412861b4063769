"""A member's kubeconfig gives plain values or nothing: no command is run and no file is read for it."""

import base64
from typing import Any

import pytest
import yaml

from yunchi_operator.tenancy.kubeconfigs import KubeconfigError, parse

PEM = base64.b64encode(b"-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n").decode()


def config(*, cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None, **top: Any) -> str:
    base = {"server": "https://10.0.0.1:6443/", "certificate-authority-data": PEM}
    return yaml.safe_dump(
        {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": base | (cluster or {})}],
            "users": [{"name": "u", "user": {"token": "s3cret"} if user is None else user}],
        }
        | top
    )


def test_a_token_and_a_certificate_are_taken() -> None:
    access = parse(config())
    assert (access.server, access.token, access.certificate_pem) == ("https://10.0.0.1:6443", "s3cret", None)
    access = parse(config(user={"client-certificate-data": PEM, "client-key-data": PEM}))
    assert access.certificate_pem is not None
    assert access.certificate_pem.startswith("-----BEGIN")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (config(user={"token": "s3cret", "exec": {"command": "sh"}}), "user.exec: refused, because it runs a command"),
        (config(user={"auth-provider": {"name": "gcp"}}), "user.auth-provider: refused"),
        (config(user={"tokenFile": "/s3cret"}), "user.tokenFile: refused"),
        (config(user={"client-certificate": "/s3cret", "client-key": "/x"}), "user.client-certificate: refused"),
        (config(user={"username": "a", "password": "s3cret"}), "user.username: refused"),
        (config(user={"token": "s3cret", "as": "system:admin"}), "user.as: refused"),
        (config(user={}), "no credentials"),
        (config(user={"client-key-data": PEM}), "must be given together"),
        (config(user={"client-certificate-data": "s3cret!", "client-key-data": PEM}), "is no base64"),
        (config(user={"token": "s3cret\n\n"}), "user.token: is no printable ASCII"),
        (config(cluster={"certificate-authority": "/etc/x"}), "cluster.certificate-authority: refused"),
        (config(cluster={"insecure-skip-tls-verify": True}), "cluster.insecure-skip-tls-verify: refused"),
        (config(cluster={"proxy-url": "http://x"}), "cluster.proxy-url: refused"),
        (config(cluster={"certificate-authority-data": ""}), "'certificate-authority-data' is missing"),
        (config(cluster={"server": "http://10.0.0.1"}), "cluster.server: must be an address"),
        (config(cluster={"server": "https://[::1"}), "cluster.server: must be an address"),
        (config(cluster={"server": "file:///etc/passwd"}), "cluster.server: must be an address"),
        (config(**{"current-context": "other"}), "current-context: names no entry"),
        (config(**{"current-context": ""}), "current-context: is missing"),
        (config(users=None), "context.user: names no entry"),
        ("[]", "is no kubeconfig"),
        ("s3cret: [", "is no YAML at line 1"),
        ("a: &a [1]\nb: *a", "holds YAML aliases"),
        ("[" * 5000, "is n"),
        ("x" * 300_000, "longer than"),
        ("!!python/object/apply:os.system ['s3cret']", "is no YAML"),
    ],
)
def test_everything_else_is_refused_by_name_and_quotes_no_value(text: str, words: str) -> None:
    with pytest.raises(KubeconfigError) as raised:
        parse(text)
    assert words in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_access_has_no_repr_that_could_leak() -> None:
    assert "s3cret" not in repr(parse(config()))
