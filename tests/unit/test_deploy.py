"""What stands in ``deploy/`` names settings, routes and folders that exist, and stays shut."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from chopmark.api import health
from chopmark.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
HOME = PurePosixPath("/var/lib/chopmark")
OWNER = 10001


def text(name: str) -> str:
    return (DEPLOY / name).read_text(encoding="utf-8")


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions with their arguments, in order."""
    joined = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", text("Dockerfile")))
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line]


def last_stage() -> dict[str, str]:
    """Of each instruction of the image that is shipped, the one in force."""
    listed = instructions()
    start = max(at for at, (name, _) in enumerate(listed) if name == "FROM")
    return dict(listed[start:])


def image_environment() -> dict[str, str]:
    return dict(word.split("=", 1) for word in shlex.split(last_stage()["ENV"]))


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(text("compose.yaml"))
    return loaded


@pytest.fixture(scope="module")
def kinds() -> dict[str, dict[str, Any]]:
    return {one["kind"]: one for one in yaml.safe_load_all(text("kubernetes.yaml"))}


@pytest.fixture(scope="module")
def unit() -> dict[str, list[str]]:
    """The unit's directives; one that stands twice has both values."""
    found: dict[str, list[str]] = {}
    for line in text("chopmark.service").splitlines():
        if "=" in line and not line.startswith("#"):
            name, value = line.split("=", 1)
            found.setdefault(name, []).append(value)
    return found


def pod(kinds: dict[str, dict[str, Any]]) -> dict[str, Any]:
    spec: dict[str, Any] = kinds["Deployment"]["spec"]["template"]["spec"]
    return spec


def given(compose: dict[str, Any]) -> dict[str, str]:
    """The application's variables, as they are where nobody sets any of compose's own."""
    environment = compose["services"]["app"]["environment"]
    return {name: re.sub(r"\$\{\w+:-(.*?)\}", r"\1", at) for name, at in environment.items()}


def test_every_variable_is_a_setting() -> None:
    known = {f"CHOPMARK_{name.upper()}" for name in Settings.model_fields}
    known |= {"CHOPMARK_IMAGE"}  # compose's own, for the name of the image
    for path in sorted(DEPLOY.iterdir()):
        for name in re.findall(r"CHOPMARK_[A-Z0-9_]+", path.read_text(encoding="utf-8")):
            assert name in known, f"{path.name}: {name}"


def test_their_values_are_taken(
    compose: dict[str, Any], kinds: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for environment in (image_environment(), given(compose), kinds["ConfigMap"]["data"]):
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                if name.startswith("CHOPMARK_"):
                    patch.setenv(name, value)
            load_settings()


def test_the_image_runs_as_nobody_in_particular() -> None:
    stage = last_stage()
    assert stage["USER"] == f"{OWNER}:{OWNER}"
    assert stage["VOLUME"] == f'["{HOME}"]'
    environment = image_environment()
    assert environment["CHOPMARK_HOME"] == str(HOME)
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert stage["EXPOSE"] == environment["CHOPMARK_PORT"]
    assert "/healthz" in stage["HEALTHCHECK"]


def test_the_image_has_all_that_the_wheel_is_built_from() -> None:
    copied = {word for name, rest in instructions() if name == "COPY" for word in rest.split()[:-1]}
    allowed = {line[1:] for line in text("Dockerfile.dockerignore").splitlines() if line[:1] == "!"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {"pyproject.toml", "hatch_build.py", "src", project["project"]["readme"]}
    needed |= {*project["project"]["license-files"], *wheel["force-include"]}
    assert needed <= copied
    from_context = {word for word in copied if not word.startswith(("--", "/"))}
    assert from_context == allowed
    for name in allowed:
        assert (ROOT / name).exists(), name


def test_extras_and_torch_are_known() -> None:
    arguments = dict(rest.split("=", 1) for name, rest in instructions() if name == "ARG")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(arguments["EXTRAS"].split(",")) <= set(project["project"]["optional-dependencies"])
    assert re.search(r"(?m)^torch==", (ROOT / "constraints.txt").read_text(encoding="utf-8"))


def test_probes_are_routes(kinds: dict[str, dict[str, Any]], compose: dict[str, Any]) -> None:
    routes = {str(getattr(route, "path", "")) for route in health.router.routes}
    (container,) = pod(kinds)["containers"]
    for probe, path in (("startup", "z"), ("liveness", "z"), ("readiness", "/readyz")):
        asked = container[f"{probe}Probe"]["httpGet"]
        assert asked["path"] in routes
        assert asked["path"].endswith(path)
        assert asked["port"] == "http"
    port = int(image_environment()["CHOPMARK_PORT"])
    assert [one["containerPort"] for one in container["ports"]] == [port]
    assert kinds["Service"]["spec"]["ports"][0]["targetPort"] == "http"
    # A proxy with TLS stands before it: nobody else's machine reaches the port itself.
    assert compose["services"]["app"]["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_every_container_of_compose_is_shut(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert int(service["user"].split(":")[0]) > 0, name
        assert not {"privileged", "cap_add", "devices", "pid"} & set(service), name
        for secret in service.get("secrets", ()):
            assert compose["secrets"][secret] == {"file": f"secrets/{secret}"}, name
        if name != "app":
            assert "ports" not in service, name
            assert service.get("networks", ["back"]) == ["back"], name
    assert compose["networks"]["back"] == {"internal": True}


def test_what_must_last_is_on_a_volume(
    compose: dict[str, Any], kinds: dict[str, dict[str, Any]]
) -> None:
    mounted = {
        name: dict(reversed(one.split(":", 1)) for one in service.get("volumes", ()))
        for name, service in compose["services"].items()
    }
    assert mounted["app"] == {str(HOME): "home"}
    assert "/var/lib/postgresql/data" in mounted["postgres"]
    assert mounted["objects"] == {"/data": "objects"}
    used = {volume for paths in mounted.values() for volume in paths.values()}
    assert used == set(compose["volumes"])
    (container,) = pod(kinds)["containers"]
    kept = {
        one["name"]: one["mountPath"]
        for one in container["volumeMounts"]
        if one["mountPath"] != "/tmp"  # noqa: S108  a mount of the pod's
    }
    # Below the root of the volume, whose mode fsGroup changes.
    assert PurePosixPath(kinds["ConfigMap"]["data"]["CHOPMARK_HOME"]).parent == HOME
    assert kept["home"] == str(HOME)
    claim = kinds["PersistentVolumeClaim"]["metadata"]["name"]
    assert {"claimName": claim} in [
        one.get("persistentVolumeClaim") for one in pod(kinds)["volumes"]
    ]
    for name, field in Settings.model_fields.items():
        if field.annotation is Path:  # whatever else is written lies in the home
            assert name == "home"


def test_the_pod_is_shut(kinds: dict[str, dict[str, Any]]) -> None:
    spec = pod(kinds)
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == OWNER
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]
    deployment = kinds["Deployment"]["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    labels = deployment["template"]["metadata"]["labels"]
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert kinds[kind]["spec"]["selector"]["matchLabels"] == labels
    assert kinds["Service"]["spec"]["selector"] == labels
    assert kinds["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1


def test_whoever_stops_it_waits_for_requests(
    compose: dict[str, Any], kinds: dict[str, dict[str, Any]], unit: dict[str, list[str]]
) -> None:
    longest = Settings.model_fields["shutdown_s"].default
    for environment in (given(compose), kinds["ConfigMap"]["data"]):
        assert int(environment["CHOPMARK_SHUTDOWN_S"]) == longest
    assert int(compose["services"]["app"]["stop_grace_period"].removesuffix("s")) > longest
    assert pod(kinds)["terminationGracePeriodSeconds"] > longest
    assert int(unit["TimeoutStopSec"][0]) > longest


@pytest.mark.parametrize(
    ("directive", "value"),
    [
        ("User", "chopmark"),
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", ""),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("PrivateDevices", "yes"),
        ("RestrictNamespaces", "yes"),
        ("SystemCallArchitectures", "native"),
        ("IPAddressDeny", "any"),
        ("StateDirectoryMode", "0700"),
        ("UMask", "0077"),
    ],
)
def test_the_unit_is_shut(unit: dict[str, list[str]], directive: str, value: str) -> None:
    assert unit[directive] == [value]


def test_the_unit_keeps_what_workers_need(unit: dict[str, list[str]]) -> None:
    parsed = configparser.ConfigParser(strict=False, interpolation=None)
    parsed.read_string(text("chopmark.service"))  # three sections, nothing outside them
    assert parsed.sections() == ["Unit", "Service", "Install"]
    calls = {call for line in unit["SystemCallFilter"] for call in line.split()}
    assert {"@system-service", "seccomp", "landlock_restrict_self"} <= calls
    assert "MemoryDenyWriteExecute" not in unit
    assert "ProcSubset" not in unit
    assert f"CHOPMARK_HOME={HOME}" in unit["Environment"][0]
    assert unit["StateDirectory"] == [HOME.name]


def entered(folder: Path, secrets: Path) -> subprocess.CompletedProcess[str]:
    """Run the entry point with a program in Chopmark's place that shows its variables."""
    program = folder / "chopmark"
    program.write_text('#!/bin/sh\necho "$@"\nenv\n')
    program.chmod(0o700)
    environment = {"PATH": f"{folder}:{os.defpath}", "SECRETS": str(secrets)}
    return subprocess.run(
        ["sh", DEPLOY / "entrypoint.sh", "serve", "--workers", "2"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_secrets_are_files(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "PGPASSWORD").write_text("a b$(id)'\"*\n")
    (secrets / "CHOPMARK_SHARED_STATE").write_text("redis://:x@redis:6379/0")
    (secrets / "redis_password").write_text("x")
    (secrets / "LD_PRELOAD").write_text("/evil.so")
    (secrets / "AWS_X;id").write_text("x")
    ended = entered(tmp_path, secrets)
    lines = ended.stdout.splitlines()
    assert lines[0] == "serve --workers 2"
    assert "PGPASSWORD=a b$(id)'\"*" in lines
    assert "CHOPMARK_SHARED_STATE=redis://:x@redis:6379/0" in lines
    assert not [line for line in lines if line.startswith(("redis_", "LD_", "AWS_"))]
    assert entered(tmp_path, tmp_path / "none").stdout.startswith("serve --workers 2\n")


def test_a_secret_that_cannot_be_read_ends_it(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    (secrets / "PGPASSWORD").mkdir(parents=True)  # whoever may read anything cannot read this
    ended = entered(tmp_path, secrets)
    assert ended.returncode != 0
    assert ended.stdout == ""
    assert "PGPASSWORD" in ended.stderr


def test_the_ray_service_is_one_that_ray_takes() -> None:
    schema = pytest.importorskip("ray.serve.schema", reason="Ray is not installed")
    service, policy = yaml.safe_load_all(text("kuberay.yaml"))
    plan = schema.ServeDeploySchema.model_validate(yaml.safe_load(service["spec"]["serveConfigV2"]))
    (application,) = plan.applications
    assert application.import_path == "chopmark.workers.ray_app:build"
    assert set(application.args) <= set(Settings.model_fields)
    cluster = service["spec"]["rayClusterConfig"]
    assert cluster["authOptions"] == {"mode": "token"}
    for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
        container = group["template"]["spec"]["containers"][0]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert {"name": "RAY_USAGE_STATS_ENABLED", "value": "0"} in container["env"]
        # The image's entrypoint, which reads secrets as files, is not run there.
        assert {"secretRef": {"name": "chopmark"}} in container["envFrom"]
        chosen = policy["spec"]["podSelector"]["matchLabels"]
        assert chosen.items() <= group["template"]["metadata"]["labels"].items()
