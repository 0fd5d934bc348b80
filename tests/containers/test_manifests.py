"""The Dockerfiles, compose.yaml and the manifests of Kubernetes: schemas, linters, and rules of safe containers.

There is no cluster here. RayCluster has no published schema, so only its pods are checked, as pods.
"""

import json
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

KUBERNETES = ROOT / "infra" / "kubernetes"
OVERLAYS = ("cpu", "gpu")
pytestmark = pytest.mark.skipif(
    find_spec("kubernetes_validate") is None,
    reason="kubernetes-validate is not installed here; see `make test-containers`",
)


@pytest.fixture(scope="module", params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """What `kubectl apply --kustomize` would send."""
    if not which("kubectl"):
        pytest.skip("kubectl is not installed here")
    command = ["kubectl", "kustomize", str(KUBERNETES / request.param)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return list(yaml.safe_load_all(text))


def pods(manifests: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The name and the template of each kind of pod."""
    for one in manifests:
        spec = one.get("spec", {})
        groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]] if one["kind"] == "RayCluster" else [spec]
        for number, group in enumerate(groups):
            if "template" in group:
                yield f"{one['kind']} {one['metadata']['name']} {number}", group["template"]


def job() -> dict[str, Any]:
    """The job of a work pool with the default values, as Prefect fills them in."""
    template = json.loads((KUBERNETES / "work-pool.json").read_text())
    text = json.dumps(template["job_configuration"]["job_manifest"])
    for name, variable in template["variables"]["properties"].items():
        default = variable["default"]
        if name == "env":
            default = []  # Prefect makes a list of the variables.
        text = text.replace(f'"{{{{ {name} }}}}"', json.dumps(default)).replace(f"{{{{ {name} }}}}", str(default))
    made: dict[str, Any] = json.loads(text)
    assert "{{" not in text
    return made


def validate(manifest: dict[str, Any]) -> None:
    import kubernetes_validate

    kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_manifests_have_the_published_schemas(manifests: list[dict[str, Any]]) -> None:
    for one in manifests:
        if one["kind"] != "RayCluster":
            validate(one)
    for name, template in pods(manifests):
        validate({"apiVersion": "v1", "kind": "Pod", **template, "metadata": {**template["metadata"], "name": "pod"}})
        assert template["spec"]["securityContext"]["runAsNonRoot"], name


def test_the_job_of_a_work_pool_has_the_published_schema() -> None:
    validate(job())


def test_every_container_has_limits_and_no_rights(manifests: list[dict[str, Any]]) -> None:
    templates = [*pods(manifests), ("work-pool.json", job()["spec"]["template"])]
    assert len(templates) == 6
    for name, template in templates:
        for container in (*template["spec"].get("initContainers", ()), *template["spec"]["containers"]):
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"}, name
            assert container["resources"]["limits"].keys() >= {"cpu", "memory"}, name
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name


def test_all_that_a_pod_names_is_there(manifests: list[dict[str, Any]]) -> None:
    there = {(one["kind"], one["metadata"]["name"]) for one in manifests}
    assert not any(kind == "Secret" for kind, _ in there)
    for name, template in [*pods(manifests), ("work-pool.json", job()["spec"]["template"])]:
        spec = template["spec"]
        volumes = {volume["name"] for volume in spec["volumes"]} | {"home"}
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            for source in container.get("envFrom", ()):
                assert ("ConfigMap", source["configMapRef"]["name"]) in there, name
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes, name


def test_linters_find_nothing() -> None:
    files = ["compose.yaml", "infra/kubernetes", "infra/containers", "tests/containers"]
    for command in (["yamllint", "--strict", *files], ["hadolint", *map(str, _dockerfiles())]):
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stdout


def _dockerfiles() -> list[Path]:
    return [ROOT / folder / "Dockerfile" for folder in ("infra/containers", "tests/containers")]
