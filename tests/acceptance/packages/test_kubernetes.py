"""The plain manifests: valid objects, a confined pod, and a pod that really starts as its manifest says."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from devtools.deb import PYTHON
from freezeline.cli import main
from freezeline.problems import Problems
from receiver.settings import load_settings
from tests.acceptance.packages.containerfile import Image
from tests.acceptance.packages.machine import Machine, offline, why_not
from tests.tools import ROOT, stop
from tests.waiting import wait_until

# One worker, so that wheel and image are built once.
pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("packages"), pytest.mark.timeout(400)]

MANIFESTS = ROOT / "packaging" / "kubernetes"
PAGE = (ROOT / "docs" / "kubernetes.md").read_text("utf-8")
# The oldest and a newer Kubernetes of those that the chart allows.
VERSIONS = ("1.25", "1.33")
OBJECTS: list[dict[str, Any]] = [one for one in yaml.safe_load_all((MANIFESTS / "freezeline.yaml").read_text()) if one]
START_DEADLINE_S = 30


def of_kind(kind: str) -> dict[str, Any]:
    """The only object of a kind."""
    (found,) = [one for one in OBJECTS if one["kind"] == kind]
    return found


def pod() -> dict[str, Any]:
    """The receiver's pod."""
    spec: dict[str, Any] = of_kind("StatefulSet")["spec"]["template"]["spec"]
    return spec


def containers() -> list[dict[str, Any]]:
    """All containers of the pod."""
    return [*pod()["initContainers"], *pod()["containers"]]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("thing", OBJECTS, ids=lambda thing: f"{thing['kind']}-{thing['metadata']['name']}")
def test_every_object_fits_its_schema(thing: dict[str, Any], version: str) -> None:
    """Without a single unknown key."""
    kubernetes_validate.validate(thing, version, strict=True)


def test_a_wrong_object_is_found() -> None:
    """The schemas can fail: an unknown key, and a wrong type."""
    for wrong in ({"replica": 1}, {"replicas": "one"}):
        thing = json.loads(json.dumps(of_kind("StatefulSet")))
        thing["spec"] |= wrong
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(thing, VERSIONS[-1], strict=True)


def test_the_pod_is_confined() -> None:
    """As the restricted Pod Security Standard asks, and with a read-only root."""
    whole = pod()["securityContext"]
    assert (whole["runAsNonRoot"], whole["runAsUser"], whole["seccompProfile"]) == (
        True,
        10001,
        {"type": "RuntimeDefault"},
    )
    assert pod()["automountServiceAccountToken"] is False
    assert [key for key in ("hostNetwork", "hostPID", "hostIPC") if pod().get(key)] == []
    assert {kind for volume in pod()["volumes"] for kind in volume if kind != "name"} <= {
        "configMap",
        "emptyDir",
        "secret",
    }
    for one in containers():
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_every_container_has_limits_and_the_receiver_has_probes() -> None:
    """A probe names a host that the receiver knows, or the receiver refuses the probe."""
    for one in containers():
        assert set(one["resources"]["limits"]) == set(one["resources"]["requests"]) == {"cpu", "memory"}
        tag = one["image"].partition("@")[0].rpartition(":")[2]
        assert tag not in ("", "latest")
    (receiver,) = pod()["containers"]
    for probe in ("startupProbe", "readinessProbe"):
        assert receiver[probe]["httpGet"]["path"] == "/health"
        assert receiver[probe]["httpGet"]["httpHeaders"] == [{"name": "Host", "value": "127.0.0.1"}]
    assert receiver["livenessProbe"]["tcpSocket"] == {"port": "http"}
    assert receiver["ports"] == [{"name": "http", "containerPort": 9099}]


def test_secrets_are_references() -> None:
    """No object holds a secret, and no variable either."""
    assert [one["kind"] for one in OBJECTS if one["kind"] == "Secret"] == []
    variables = [one for container in containers() for one in container.get("env", ())]
    assert [one["name"] for one in variables if "value" in one] == ["FREEZELINE_ALLOWED_HOSTS"]


SPEC = """\
apiVersion: freezeline/v1
service: checkout
owner: {team: payments, slack: "#payments"}
slos:
  availability:
    objective: 99.9
    sli: {bad: 'http_requests_total{code=~"5.."}', total: http_requests_total}
policy:
  - {on: {slo: availability, alert: SLOBudgetBurn, tier: fast}, do: [freeze]}
actions:
  freeze: {flag: /var/lib/freezeline-flags/checkout/FREEZE.FLAG}
"""


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the page's command generates."""
    folder = tmp_path_factory.mktemp("generated")
    (folder / "slos").mkdir()
    (folder / "slos" / "checkout.yaml").write_text(SPEC)
    found = re.search(r"^freezeline (generate (?:.*\\\n)*.*)$", PAGE, re.MULTILINE)
    assert found
    words = [
        {"slos": str(folder / "slos"), "deploy": str(folder)}.get(one, one)
        for one in shlex.split(found[1].replace("\\\n", " "))
    ]
    assert main([word for word in words if word.strip()]) == 0
    return folder


def test_the_page_lists_what_generate_writes(generated: Path) -> None:
    """Rules, dashboards and policies of the specs, beside the objects of packaging/kubernetes."""
    shown = re.search(r"^```yaml\n# deploy/kustomization.yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert shown
    listed = yaml.safe_load(shown[1])
    first, *own = listed["resources"]
    assert (ROOT / "docs" / first / "kustomization.yaml").is_file()
    (policies,) = listed["configMapGenerator"]
    assert policies["name"] == configmap_of("policies")
    assert [name for name in (*own, *policies["files"]) if not (generated / name).is_file()] == []
    for name in own:
        (thing,) = yaml.safe_load_all((generated / name).read_text())
        assert thing["kind"] in ("PrometheusRule", "ConfigMap")
        assert thing["metadata"]["namespace"] == "monitoring"


def configmap_of(volume: str) -> str:
    """The name of the ConfigMap behind a volume of the pod."""
    (name,) = [one["configMap"]["name"] for one in pod()["volumes"] if one["name"] == volume]
    return str(name)


def mounts(container: dict[str, Any]) -> dict[str, str]:
    """Where a container sees which volume: `name/subPath` → place."""
    return {
        "/".join(filter(None, (one["name"], one.get("subPath")))): one["mountPath"] for one in container["volumeMounts"]
    }


def as_kubelet(one: Machine, folder: str, files: dict[str, str]) -> None:
    """Lay files out as the kubelet lays out a ConfigMap or Secret: links to a folder that changes at once."""
    one.run("mkdir", "-p", f"{folder}/..2026")
    for name, text in files.items():
        one.write(f"{folder}/..2026/{name}", text, 0o644)
        one.run("ln", "-sfn", f"..data/{name}", f"{folder}/{name}")
    one.run("ln", "-sfn", "..2026", f"{folder}/..data")


@pytest.fixture
def prepared(image: Image, generated: Path) -> Iterator[Machine]:
    """The image's files with the pod's volumes, after the init container."""
    with offline(image.machine) as one:
        (init,), (receiver,) = pod()["initContainers"], pod()["containers"]
        one.run("install", "-d", "-m", "2770", "-o", "root", "-g", "10001", "/data")
        as_kubelet(one, "/tokens", {role: f"{role}-token-of-the-secret" for role in ("webhook", "read", "operate")})
        one.run("sh", "-c", "chgrp -R 10001 /tokens && chmod 0440 /tokens/..2026/*")
        done = subprocess.run(
            one.sandboxed(["/data"], "freezeline", *image.variables(), *init["command"], *init["args"]),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd="/",
        )
        assert done.returncode == 0, done.stderr
        places = mounts(receiver)
        for name in ("state", "flags"):
            one.run("mkdir", "-p", places[f"data/{name}"])
            one.run("mount", "--bind", f"/data/{name}", places[f"data/{name}"])
        (settings,) = [thing for thing in OBJECTS if thing["metadata"]["name"] == configmap_of("settings")]
        as_kubelet(one, places["settings"], settings["data"])
        policy = generated / "rules" / "policy" / "checkout.policy.json"
        as_kubelet(one, places["policies"], {policy.name: policy.read_text()})
        yield one
        for name in ("state", "flags"):
            one.run("umount", places[f"data/{name}"])


@pytest.mark.skipif(bool(why_not()), reason=why_not())
@pytest.mark.skipif(not Path(f"/usr/bin/{PYTHON}").exists(), reason=f"needs Debian's {PYTHON}")
def test_the_pod_starts_as_the_manifest_says(prepared: Machine, image: Image, tmp_path: Path) -> None:
    """The init container's script, then the receiver with its volumes; the probe passes, and the tokens are ours."""
    (receiver,) = pod()["containers"]
    places = mounts(receiver)
    writable = [places["data/state"], places["data/flags"], places["tmp"]]
    words = [*image.variables(), "FREEZELINE_ALLOWED_HOSTS=10.1.2.3,freezeline", *image.entrypoint, *receiver["args"]]
    log = tmp_path / "log"
    with log.open("wb") as output:
        argv = prepared.sandboxed(writable, "freezeline", *words)
        process = subprocess.Popen(argv, stdout=output, stderr=output, cwd="/")
    try:
        wait_until(lambda: "listening on" in log.read_text(), START_DEADLINE_S, f"the receiver serves ({log})")
        probe = receiver["readinessProbe"]["httpGet"]
        header = "; ".join(f"{one['name']}: {one['value']}" for one in probe["httpHeaders"])
        assert answered(prepared, probe["path"], header) == 200
        assert answered(prepared, probe["path"], "Host: 10.1.2.3:9099") == 200
        assert answered(prepared, probe["path"], "Host: elsewhere") == 421
        assert answered(prepared, "/metrics", "Authorization: Bearer read-token-of-the-secret") == 200
        beat = "/data/flags/checkout/FREEZE.HEARTBEAT"
        prepared.run("sh", "-c", f"for i in $(seq 150); do test -e {beat} && exit; sleep 0.1; done; exit 1")
    finally:
        stop(process)
    assert "refused" not in log.read_text()
    modes = prepared.run("stat", "-c", "%a %u", "/data/state", "/data/state/tokens/read", "/data/flags").stdout
    bare = [line[-9:] for line in modes.splitlines()]  # the folders inherit the group of their volume
    assert bare == ["700 10001", "600 10001", "755 10001"]


ASK = """
import http.client, sys
name, _, value = sys.argv[2].partition(": ")
connection = http.client.HTTPConnection("127.0.0.1", 9099, timeout=10)
connection.putrequest("GET", sys.argv[1], skip_host=name == "Host")
connection.putheader(name, value)
connection.endheaders()
print(connection.getresponse().status)
"""


def answered(one: Machine, path: str, header: str) -> int:
    """The status of a request with one header of its own, from inside."""
    return int(one.run("/opt/freezeline/bin/python", "-c", ASK, path, header).stdout)


def test_the_kustomization_names_what_is_there() -> None:
    """`kubectl apply -k` finds its files."""
    listed = yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text())["resources"]
    assert listed == [path.name for path in sorted(MANIFESTS.glob("*.yaml")) if path.name != "kustomization.yaml"]
    assert re.fullmatch(r"freezeline:\d+\.\d+\.\d+", pod()["containers"][0]["image"])


def patched(thing: dict[str, Any], patch: str) -> dict[str, Any]:
    """An object after the operations `add` and `replace` of a JSON patch."""
    found: dict[str, Any] = json.loads(json.dumps(thing))
    for one in yaml.safe_load(patch):
        *way, last = [part.replace("~1", "/") for part in one["path"].split("/")[1:]]
        inner: Any = found
        for part in way:
            inner = inner[int(part) if isinstance(inner, list) else part]
        assert one["op"] == "add" or last in inner
        if isinstance(inner, list):
            inner.append(one["value"])
        else:
            inner[last] = one["value"]
    return found


def test_several_receivers_share_a_journal(tmp_path: Path) -> None:
    """The objects after the patches fit their schemas, and the receiver understands its settings."""
    folder = MANIFESTS / "several"
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert [(folder / name).exists() for name in listed["resources"]] == [True, True]
    (disruption,) = yaml.safe_load_all((folder / "disruption.yaml").read_text())
    kubernetes_validate.validate(disruption, VERSIONS[-1], strict=True)
    assert disruption["spec"]["selector"] == of_kind("StatefulSet")["spec"]["selector"]
    assert listed["replicas"] == [{"name": of_kind("StatefulSet")["metadata"]["name"], "count": 2}]
    made = {}
    for one in listed["patches"]:
        thing = patched(of_kind(one["target"]["kind"]), one["patch"])
        assert thing["metadata"]["name"] == one["target"]["name"]
        for version in VERSIONS:
            kubernetes_validate.validate(thing, version, strict=True)
        made[thing["kind"]] = thing
    (receiver,) = made["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    assert "PGPASSWORD" in [one["name"] for one in receiver["env"]]
    file = tmp_path / "receiver.yaml"
    file.write_text(made["ConfigMap"]["data"]["receiver.yaml"])
    problems = Problems()
    assert load_settings(file, {}, problems).journal_postgres == "host=postgres dbname=freezeline user=freezeline"
    assert list(problems) == []
