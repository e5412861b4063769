"""Command lines of the control plane's parts, and the order in which they start."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from controlplane.binaries import Binaries
from controlplane.certificates import Authority, KeyPair

ETCD = "etcd"
API_SERVER = "kube-apiserver"
CONTROLLER_MANAGER = "kube-controller-manager"
KWOK = "kwok"
SCHEDULER = "kube-scheduler"
DEFAULT_COMPONENTS = (ETCD, API_SERVER, CONTROLLER_MANAGER, KWOK)
ISSUER = "https://kubernetes.default.svc"
_STAGES = Path(__file__).parent / "kwok" / "stages.yaml"


@dataclass(frozen=True)
class Credentials:
    """All the key material of a control plane, made anew for each."""

    ca: Path
    serving: KeyPair
    etcd: KeyPair
    admin: KeyPair
    service_accounts: KeyPair

    @classmethod
    def make(cls, authority: Authority) -> "Credentials":
        """Issue what a control plane needs.

        Args:
            authority: Its certificate authority.
        """
        return cls(
            ca=authority.certificate,
            serving=authority.serving("kube-apiserver"),
            etcd=authority.serving("etcd"),
            admin=authority.client("admin", ("system:masters",)),
            service_accounts=authority.signing_key("service-accounts"),
        )


def etcd_command(binaries: Binaries, credentials: Credentials, folder: Path, port: int, peer_port: int) -> list[str]:
    """One etcd member that does not wait for the disk; its data is not worth a power cut's care.

    Args:
        binaries: The executables.
        credentials: Only their holder may read and write it, on a machine shared with others too.
        folder: The control plane's folder.
        port: For clients.
        peer_port: For peers it will never have.
    """
    url, peer_url = f"https://127.0.0.1:{port}", f"https://127.0.0.1:{peer_port}"
    pair, ca = credentials.etcd, credentials.ca
    arguments: dict[str, str | Path] = {
        "name": "default",
        "data-dir": folder / "data",
        "unsafe-no-fsync": "true",
        "listen-client-urls": url,
        "advertise-client-urls": url,
        "listen-peer-urls": peer_url,
        "initial-advertise-peer-urls": peer_url,
        "initial-cluster": f"default={peer_url}",
        "cert-file": pair.certificate,
        "key-file": pair.key,
        "trusted-ca-file": ca,
        "client-cert-auth": "true",
        "peer-cert-file": pair.certificate,
        "peer-key-file": pair.key,
        "peer-trusted-ca-file": ca,
        "peer-client-cert-auth": "true",
        "quota-backend-bytes": str(4 * 2**30),
        "snapshot-count": "100000",
        "log-level": "warn",
    }
    return _command(binaries.etcd, arguments)


def api_server_command(
    binaries: Binaries, credentials: Credentials, port: int, etcd_port: int, *, service_accounts: bool
) -> list[str]:
    """An API server with RBAC and the usual admission plug-ins, on loopback only.

    Args:
        binaries: The executables.
        credentials: Its certificates.
        port: Where it serves.
        etcd_port: Where its etcd serves.
        service_accounts: Whether a controller manager gives each namespace its default service account.
    """
    accounts, etcd = credentials.service_accounts, credentials.etcd
    arguments: dict[str, str | Path] = {
        "etcd-servers": f"https://127.0.0.1:{etcd_port}",
        "etcd-cafile": credentials.ca,
        "etcd-certfile": etcd.certificate,
        "etcd-keyfile": etcd.key,
        "bind-address": "127.0.0.1",
        "advertise-address": "127.0.0.1",
        "endpoint-reconciler-type": "none",
        "secure-port": str(port),
        "tls-cert-file": credentials.serving.certificate,
        "tls-private-key-file": credentials.serving.key,
        "client-ca-file": credentials.ca,
        "authorization-mode": "RBAC",
        "service-cluster-ip-range": "10.96.0.0/16",
        "service-account-issuer": ISSUER,
        "service-account-key-file": accounts.certificate,
        "service-account-signing-key-file": accounts.key,
        "max-requests-inflight": "3000",
        "max-mutating-requests-inflight": "1500",
        "event-ttl": "1h",
        "profiling": "false",
    }
    if not service_accounts:
        arguments["disable-admission-plugins"] = "ServiceAccount"
    return _command(binaries.kube_apiserver, arguments)


def controller_manager_command(binaries: Binaries, credentials: Credentials, kubeconfig: Path) -> list[str]:
    """A controller manager that keeps up with thousands of pods and serves nothing itself.

    Args:
        binaries: The executables.
        credentials: For signing service account tokens.
        kubeconfig: Of an administrator.
    """
    workers = ("deployment", "replicaset", "statefulset", "job", "resource-quota", "namespace", "gc")
    arguments: dict[str, str | Path] = {
        "kubeconfig": kubeconfig,
        "leader-elect": "false",
        "secure-port": "0",
        "service-account-private-key-file": credentials.service_accounts.key,
        "root-ca-file": credentials.ca,
        "use-service-account-credentials": "false",
        "kube-api-qps": "2000",
        "kube-api-burst": "4000",
        "allocate-node-cidrs": "false",
        "node-monitor-grace-period": "120s",
        "profiling": "false",
    }
    arguments |= {f"concurrent-{worker}-syncs": "20" for worker in workers}
    return _command(binaries.kube_controller_manager, arguments)


def kwok_command(binaries: Binaries, kubeconfig: Path) -> list[str]:
    """A kwok that plays the kubelet of every node.

    Args:
        binaries: The executables.
        kubeconfig: Of an administrator.
    """
    arguments: dict[str, str | Path] = {
        "kubeconfig": kubeconfig,
        "config": _STAGES,
        "manage-all-nodes": "true",
        "node-lease-duration-seconds": "40",
        "node-ip": "10.0.0.1",
        "cidr": "10.64.0.1/10",
        "v": "WARN",
    }
    return _command(binaries.kwok, arguments)


def scheduler_command(binaries: Binaries, configuration: Path) -> list[str]:
    """A kube-scheduler that serves nothing itself.

    Args:
        binaries: The executables.
        configuration: Its KubeSchedulerConfiguration.
    """
    return _command(binaries.kube_scheduler, {"config": configuration, "secure-port": "0"})


def scheduler_configuration(
    scheduler_name: str = "default-scheduler",
    strategy: str = "MostAllocated",
    queries_per_second: int = 2000,
    fit_weight: int | None = None,
) -> str:
    """A KubeSchedulerConfiguration; the control plane fills in its kubeconfig.

    Args:
        scheduler_name: Which `spec.schedulerName` it serves.
        strategy: MostAllocated packs, LeastAllocated spreads.
        queries_per_second: Limit of its client; the burst is twice that.
        fit_weight: Weight of the strategy among the scores; by default 1, and kube-scheduler's own soft spreading of a
            Deployment's replicas (weight 2) outweighs packing them.
    """
    resources = [{"name": "cpu", "weight": 1}, {"name": "memory", "weight": 1}]
    fit = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "NodeResourcesFitArgs",
        "scoringStrategy": {"type": strategy, "resources": resources},
    }
    profile: dict[str, Any] = {
        "schedulerName": scheduler_name,
        "pluginConfig": [{"name": "NodeResourcesFit", "args": fit}],
    }
    if fit_weight is not None:
        profile["plugins"] = {"score": {"enabled": [{"name": "NodeResourcesFit", "weight": fit_weight}]}}
    document = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "clientConnection": {"qps": queries_per_second, "burst": 2 * queries_per_second},
        "profiles": [profile],
    }
    return yaml.safe_dump(document, sort_keys=False)


def _command(program: Path, arguments: dict[str, str | Path]) -> list[str]:
    return [str(program), *(f"--{name}={value}" for name, value in arguments.items())]
