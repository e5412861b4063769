"""A throw-away certificate authority per control plane."""

import datetime
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = datetime.timedelta(days=365)
_CLOCK_SKEW = datetime.timedelta(hours=1)
_SERVICE_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")


@dataclass(frozen=True)
class KeyPair:
    """Files of a certificate and its private key."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates that only one control plane trusts, so that two side by side never mix.

    Args:
        folder: Where certificates and keys go; made with mode 0700.
        name: Common name of the authority.
    """

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name}-ca")])
        certificate = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(authority=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.certificate = folder / "ca.crt"
        write_private(self.certificate, _pem(certificate))

    def serving(self, name: str) -> KeyPair:
        """A certificate for loopback servers that they may also use towards their peers.

        Args:
            name: File name stem and common name.
        """
        addresses = [ipaddress.ip_address(address) for address in ("127.0.0.1", "::1", "10.96.0.1")]
        names: list[x509.GeneralName] = [x509.DNSName(value) for value in _SERVICE_NAMES]
        names += [x509.IPAddress(address) for address in addresses]
        uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        return self._issue(name, _subject(name), uses, x509.SubjectAlternativeName(names))

    def client(self, user: str, groups: tuple[str, ...] = (), stem: str | None = None) -> KeyPair:
        """A client certificate that Kubernetes reads as a user in groups.

        Args:
            user: User name (the certificate's common name).
            groups: Groups (its organisations).
            stem: File name stem; the user name if left out.
        """
        return self._issue(stem or user, _subject(user, groups), [ExtendedKeyUsageOID.CLIENT_AUTH], None)

    def signing_key(self, name: str) -> KeyPair:
        """A bare key pair for service account tokens; `certificate` holds the public key.

        Args:
            name: File name stem.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        pair = KeyPair(self.folder / f"{name}.pub", self.folder / f"{name}.key")
        write_private(pair.key, _private_pem(key))
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        write_private(pair.certificate, public)
        return pair

    def _issue(
        self,
        stem: str,
        subject: x509.Name,
        uses: list[x509.ObjectIdentifier],
        names: x509.SubjectAlternativeName | None,
    ) -> KeyPair:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            self._builder(subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        pair = KeyPair(self.folder / f"{stem}.crt", self.folder / f"{stem}.key")
        write_private(pair.key, _private_pem(key))
        write_private(pair.certificate, _pem(builder.sign(self._key, hashes.SHA256())))
        return pair

    def _builder(self, subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _CLOCK_SKEW)
            .not_valid_after(now + _LIFETIME)
        )


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, never readable in between.

    Args:
        path: Where; replaced if it exists.
        content: What.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
        handle.write(content)
    temporary.replace(path)


def _subject(name: str, groups: tuple[str, ...] = ()) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
