"""Two schedulers before the same API server: which nodes would each of them give a pod?

kube-scheduler has an extender, which is shown all nodes that have passed kube-scheduler's own filters and answers with
the one that Yunchi chose; so the whole sets are compared, and kube-scheduler, shown that node alone, places the pod.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import yaml

from controlplane.cluster import ControlPlane, scheduler_configuration
from support.feasibility_cases import NAMESPACES, OVERHEAD, Case, Manifest
from yunchi_operator.api.core import Node, Pod
from yunchi_operator.api.volumes import PersistentVolume, PersistentVolumeClaim
from yunchi_operator.scheduling.problem import build_problem
from yunchi_operator.scheduling.roles import Role, role_of
from yunchi_operator.scheduling.stating import Surroundings
from yunchi_operator.scheduling.volume_claims import users_of_claims
from yunchi_operator.scheduling.volumes import Storage
from yunchi_placement import solve
from yunchi_placement.explain import refusals

WAIT_SECONDS = 10.0


@dataclass(frozen=True)
class Verdict:
    """What a scheduler says.

    Attributes:
        nodes: that would take the pod.
        chosen: the one that gets it; "" for none.
        rules: for Yunchi, the rules by which it refused nodes.
    """

    nodes: frozenset[str]
    chosen: str = ""
    rules: frozenset[str] = frozenset()


class Extender:
    """Sees which nodes pass kube-scheduler's filters, and lets only one of them pass."""

    def __init__(self) -> None:
        self.seen: dict[str, frozenset[str]] = {}
        self.chosen: dict[str, str] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                name, names = asked["Pod"]["metadata"]["name"], asked["NodeNames"] or []
                outer.seen[name] = frozenset(names)
                chosen = outer.chosen.get(name, "")
                body = json.dumps({"NodeNames": [chosen] if chosen in names else []}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()


class Arena:
    """The API server, kube-scheduler, and the objects of one case at a time."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.extender = Extender()
        for name, labels in NAMESPACES.items():
            self._made({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
            self._made(
                {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}}
            )
        overhead = {"handler": "h", "overhead": {"podFixed": {"cpu": "500m"}}}
        kind = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": OVERHEAD}}
        assert plane.request("POST", "/apis/node.k8s.io/v1/runtimeclasses", kind | overhead)[0] in {201, 409}
        config = yaml.safe_load(scheduler_configuration())
        config["percentageOfNodesToScore"] = 100
        config["podInitialBackoffSeconds"] = 1
        one = {"urlPrefix": self.extender.url, "filterVerb": "filter", "nodeCacheCapable": True, "httpTimeout": "30s"}
        config["extenders"] = [one]
        self._scheduler = plane.start_kube_scheduler(yaml.safe_dump(config))

    def stop(self) -> None:
        """End kube-scheduler and the extender; the control plane is its owner's."""
        self._scheduler.stop()
        self.extender.stop()

    def compare(self, case: Case) -> tuple[Verdict, Verdict]:
        """Both verdicts on a case: kube-scheduler's, and Yunchi's."""
        try:
            self._set_up(case)
            pod = self._as_stored(case.pod)
            ours = self._ours(pod)
            theirs = self._theirs(case, ours.chosen, case.pod["metadata"]["name"])
            if theirs != Verdict(ours.nodes, ours.chosen):  # its news of nodes and pods may have been older than ours
                time.sleep(1.0)
                theirs = self._theirs(case, ours.chosen, f"{case.pod['metadata']['name']}-again")
            return theirs, ours
        finally:
            self._clear(case)

    # -- objects ------------------------------------------------------------------------------------------------------

    def _set_up(self, case: Case) -> None:
        failed = self.plane.create_many([*case.nodes, *case.volumes, *case.claims])
        assert not failed, (case.seed, failed)
        for node in case.nodes:  # admission has added not-ready, which the node controller would lift
            name = node["metadata"]["name"]
            status, body = self.plane.request(
                "PATCH", f"/api/v1/nodes/{name}", {"spec": {"taints": node["spec"]["taints"]}}
            )
            assert status == 200, body
        failed = self.plane.create_many(case.bound)
        assert not failed, (case.seed, failed)
        for pod in case.bound:
            if pod["metadata"].get("finalizers"):
                self.plane.request("DELETE", _path(pod))

    def _clear(self, case: Case) -> None:
        for pod in case.bound:
            if pod["metadata"].get("finalizers"):
                self.plane.request("PATCH", _path(pod), {"metadata": {"finalizers": None}})
        for namespace in NAMESPACES:
            self.plane.request("DELETE", f"/api/v1/namespaces/{namespace}/pods?gracePeriodSeconds=0")
        for one in case.claims:
            self.plane.request("PATCH", _path(one), {"metadata": {"finalizers": None}})
            self.plane.request("DELETE", _path(one))
        for one in case.volumes:
            self.plane.request("PATCH", _path(one), {"metadata": {"finalizers": None}})
            self.plane.request("DELETE", _path(one))
        self.plane.request("DELETE", "/api/v1/nodes")

    def _made(self, manifest: Manifest) -> Manifest:
        status, body = self.plane.request("POST", _path(manifest).rpartition("/")[0], manifest)
        assert status in {201, 409}, body
        found: Manifest = body
        return found

    def _as_stored(self, manifest: Manifest) -> Pod:
        """The pod with the server's defaults."""
        status, body = self.plane.request("POST", f"{_path(manifest).rpartition('/')[0]}?dryRun=All", manifest)
        assert status == 201, body
        return msgspec.convert(body, Pod)

    def _listed(self, path: str, kind: type[Any]) -> list[Any]:
        status, body = self.plane.request("GET", path)
        assert status == 200, body
        return [msgspec.convert(item, kind) for item in body["items"]]

    # -- verdicts -----------------------------------------------------------------------------------------------------

    def _ours(self, pod: Pod) -> Verdict:
        if role_of(pod, all_schedulers=True) is not Role.WANTED:
            return Verdict(frozenset())
        nodes = self._listed("/api/v1/nodes", Node)
        pods = self._listed("/api/v1/pods", Pod)
        storage = Storage(
            claims={one.key: one for one in self._listed("/api/v1/persistentvolumeclaims", PersistentVolumeClaim)},
            volumes={one.metadata.name: one for one in self._listed("/api/v1/persistentvolumes", PersistentVolume)},
        )
        labels = {node.metadata.name: node.metadata.labels for node in nodes}
        around = Surroundings(storage, users=users_of_claims(pods), nodes=labels)
        built = build_problem(nodes, [*pods, pod], namespaces=NAMESPACES, all_schedulers=True, around=around)
        if built.left_out:
            assert built.left_out[0].rule.startswith("volumes:"), built.left_out[0].rule
            return Verdict(frozenset(), rules=frozenset({built.left_out[0].rule}))
        index = built.to_place[0]
        said = refusals(built.problem, index)
        open_to = frozenset(name for name, rule in said.items() if rule is None)
        chosen = solve(built.problem, effort="fast").assignment[index] or ""
        assert (chosen in open_to) if open_to else not chosen, (chosen, open_to)
        return Verdict(open_to, chosen, frozenset(rule for rule in said.values() if rule))

    def _theirs(self, case: Case, chosen: str, name: str) -> Verdict:
        manifest = case.pod | {"metadata": case.pod["metadata"] | {"name": name}}
        self.extender.chosen[name] = chosen
        status, body = self.plane.request("POST", _path(manifest).rpartition("/")[0], manifest)
        assert status == 201, body
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            found = self.plane.request("GET", _path(manifest))[1]
            bound = found["spec"].get("nodeName", "")
            told = [one for one in found["status"].get("conditions", []) if one["type"] == "PodScheduled"]
            if bound or told:
                self.plane.request("DELETE", f"{_path(manifest)}?gracePeriodSeconds=0")
                return Verdict(self.extender.seen.get(name, frozenset()), bound)
            time.sleep(0.005)
        raise AssertionError(f"case {case.seed}: kube-scheduler said nothing")


def _path(manifest: Manifest) -> str:
    plural = f"{manifest['kind'].lower()}s"
    namespace = manifest["metadata"].get("namespace")
    inside = f"/namespaces/{namespace}" if namespace else ""
    return f"/api/v1{inside}/{plural}/{manifest['metadata']['name']}"
