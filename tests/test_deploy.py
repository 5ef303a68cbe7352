"""The images, the compose file, the manifests and the units, read as their programs read them.

There is no container runtime where the tests run: that the images build and start is not shown.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import requires
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from models.settings import variable
from serving.app import create_app
from serving.settings import ServeSettings
from tests.command_lines import parse, spoken

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "serving" / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
SETTINGS = {variable(name) for name in ServeSettings.model_fields}
OURS = re.compile(r"^xinjian-(serving|training):(.+)$")
Node = dict[str, Any]


class Strict(yaml.SafeLoader):
    """YAML in which no key stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if key.value != "<<"]
        assert len(set(keys)) == len(keys), f"{node.start_mark}: a key stands twice in {keys}"
        return super().construct_mapping(node, deep=deep)


def documents(path: Path) -> list[Node]:
    return list(yaml.load_all(path.read_text(encoding="utf-8"), Strict))


def manifests() -> list[Node]:
    return [one for path in sorted(KUBERNETES.glob("*.yaml")) for one in documents(path)]


def of_kind(*kinds: str) -> list[Node]:
    return [one for one in manifests() if one["kind"] in kinds]


def pod(manifest: Node) -> Node:
    spec = manifest["spec"]
    spec = spec["jobTemplate"]["spec"] if manifest["kind"] == "CronJob" else spec
    return spec["template"]["spec"]


WORKLOADS = of_kind("Deployment", "Job", "CronJob")


def named(manifest: Node) -> str:
    return str(manifest["metadata"]["name"])


workloads = pytest.mark.parametrize("workload", WORKLOADS, ids=named)


def container(workload: Node) -> Node:
    (one,) = pod(workload)["containers"]
    return one


def compose() -> Node:
    (found,) = documents(ROOT / "compose.yaml")
    return found


def our_services() -> dict[str, Node]:
    services = cast("Mapping[str, Node]", compose()["services"])
    return {name: one for name, one in services.items() if OURS.match(one["image"])}


def texts(node: object) -> Iterator[str]:
    """Give every text in a tree of YAML."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for value in cast("dict[str, object]", node).values():
            yield from texts(value)
    elif isinstance(node, list):
        for value in cast("list[object]", node):
            yield from texts(value)


# Commands


def dockerfile() -> list[str]:
    """Return the Dockerfile's instructions, each on one line, without comments."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def stages() -> dict[str, list[str]]:
    """Return the instructions of each stage of the Dockerfile, with those it stands on."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in dockerfile():
        if begun := re.fullmatch(r"FROM (\S+) AS (\S+)", line):
            name = begun[2]
            found[name] = list(found.get(begun[1], []))
        found.setdefault(name, []).append(line)
    return found


def commands() -> Iterator[tuple[str, list[str]]]:
    for name, lines in stages().items():
        for line in lines:
            if line.startswith("CMD") and (words := cast("list[str]", yaml.safe_load(line[4:]))):
                yield f"Dockerfile {name}", words
    for name, service in our_services().items():
        if "entrypoint" not in service:
            yield f"compose {name}", service["command"]
    for workload in WORKLOADS:
        one = container(workload)
        if "command" not in one:
            yield named(workload), one["args"]
        else:
            for words in spoken(one["args"][0]):
                yield named(workload), words


@pytest.mark.parametrize(
    "words", [words for _, words in commands()], ids=[where for where, _ in commands()]
)
def test_every_command_is_one_that_there_is(words: list[str]) -> None:
    assert words == ["--help"] or parse(words) == [one for one in words if one[0] != "-"][1]


def test_api_worker_night_retraining_and_backup_are_all_deployed() -> None:
    said = {" ".join(words[:2]) for _, words in commands()}
    wanted = {"serve api", "serve worker", "serve migrate", "serve night", "serve backup"}
    assert {*wanted, "risk retrain"} <= said
    assert {"postgres", "minio", "mlflow"} < set(compose()["services"])


def test_a_command_that_is_not_there_is_noticed() -> None:
    with pytest.raises(AssertionError, match="no command nihgt"):
        parse(["serve", "nihgt"])


# Units for systemd

UNITS = sorted((DEPLOY / "systemd").glob("xinjian-*"))


def values(unit: Path, key: str) -> list[str]:
    text = unit.read_text(encoding="utf-8")
    return re.findall(rf"^{key}=(.*)$", text, flags=re.MULTILINE)


@pytest.mark.parametrize("unit", [one for one in UNITS if one.suffix == ".service"], ids=str)
def test_a_unit_runs_a_command_that_there_is_as_a_user_without_rights(unit: Path) -> None:
    for line in [*values(unit, "ExecStartPre"), *values(unit, "ExecStart")]:
        program, *words = shlex.split(line)
        assert program == "/usr/local/xinjian/bin/xinjian"
        assert parse(words) == words[1]
    assert values(unit, "User") == ["xinjian"]
    assert values(unit, "NoNewPrivileges") == ["yes"]
    (environment,) = values(unit, "Environment")
    assert {pair.partition("=")[0] for pair in environment.split()} <= SETTINGS


def test_every_timer_has_its_service() -> None:
    timers = [one for one in UNITS if one.suffix == ".timer"]
    assert {one.stem for one in timers} == {"xinjian-night", "xinjian-backup"}
    assert all(one.with_suffix(".service") in UNITS for one in timers)


@pytest.mark.parametrize("unit", UNITS, ids=str)
def test_a_unit_runs_by_the_regulators_clock_and_shares_its_tmp(unit: Path) -> None:
    """An embedded PostgreSQL is started under a lock that may lie in /tmp."""
    assert all(moment.endswith(" Asia/Shanghai") for moment in values(unit, "OnCalendar"))
    if unit.suffix == ".service":
        others = {one.name for one in UNITS if one.suffix == ".service"} - {unit.name}
        (joined,) = values(unit, "JoinsNamespaceOf")
        assert set(joined.split()) == others
        assert values(unit, "PrivateTmp") == ["yes"]


def test_last_nights_tries_do_not_keep_this_one_from_being_begun() -> None:
    night = DEPLOY / "systemd" / "xinjian-night.service"
    assert values(night, "StartLimitIntervalSec") == ["20h"], "less than the timer's day"
    for unit in (night, DEPLOY / "systemd" / "xinjian-backup.service"):
        (most,) = values(unit, "TimeoutStartSec")
        assert int(most.removesuffix("h")) < 24, "one that hangs ends before the next"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_can_read_every_unit(tmp_path: Path) -> None:
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8")
        there = text.replace("/usr/local/xinjian/bin/xinjian", sys.executable)
        (tmp_path / unit.name).write_text(there, encoding="utf-8")
        for moment in values(unit, "OnCalendar"):
            calendar = ["systemd-analyze", "calendar", moment]
            subprocess.run(calendar, check=True, capture_output=True)
    names = [f"./{unit.name}" for unit in UNITS]
    done = subprocess.run(
        ["systemd-analyze", "verify", *names],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


# Make


@pytest.mark.skipif(shutil.which("make") is None, reason="no make here")
def test_make_stops_every_demonstration_and_takes_any_folder(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path / "Makefile")
    told = tmp_path / ".venv" / "bin" / "xinjian"
    told.parent.mkdir(parents=True)
    told.write_text('#!/bin/sh\nprintf "<%s>" "$XINJIAN_HOME" "$@"; echo\n', encoding="utf-8")
    told.chmod(0o755)
    for home in ("demo-6000-1", "demo-20000-7", "real"):
        (tmp_path / "var" / home / "demo").mkdir(parents=True)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    (tmp_path / ".venv" / "installed").touch()
    quiet = ["make", "--no-print-directory"]
    said = [
        subprocess.run([*quiet, *words], cwd=tmp_path, capture_output=True, text=True, check=True)
        for words in (["stop"], ["real", "DATA=a folder"])
    ]
    stopped = re.findall(r"<(\S+)><demo><stop>", said[0].stdout)
    assert set(stopped) == {"var/demo-6000-1", "var/demo-20000-7", "var/real"}
    assert said[1].stdout == "<var/real><demo><real><a folder>\n"


# Images


def test_every_image_of_ours_is_a_target_and_of_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = project["version"]
    images = [one["image"] for one in our_services().values()]
    images += [container(one)["image"] for one in WORKLOADS]
    page = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    found = [OURS.match(one) for one in images]
    assert {one[2] if one else None for one in found} == {version}
    for target in ("serving", "training"):
        assert f"xinjian-{target}:{version}" in images
        assert f"--target {target} " in page
        assert target in stages()


def test_images_of_others_are_pinned_by_tag_and_of_the_default_registry() -> None:
    found = [str(one["image"]) for one in compose()["services"].values()]
    found = [re.sub(r"^\$\{\w+:-(.+)\}$", r"\1", one) for one in found]
    (base,) = re.findall(r"^ARG BASE=(\S+)$", "\n".join(dockerfile()), flags=re.MULTILINE)
    for image in {*found, base}:
        repository, _, tag = image.partition(":")
        assert tag, image
        assert tag != "latest", image
        assert "." not in repository.partition("/")[0], image
    assert base.startswith("python:3.11-slim")


@pytest.mark.parametrize("target", ["serving", "training"])
def test_an_image_ends_as_a_user_without_rights(target: str) -> None:
    users = [line.split()[1] for line in stages()[target] if line.startswith("USER")]
    assert users == ["10001:10001"]


def test_the_serving_image_is_asked_whether_it_lives() -> None:
    (check,) = [line for line in stages()["serving"] if line.startswith("HEALTHCHECK")]
    words = cast("list[str]", yaml.safe_load(check.partition("CMD")[2]))
    assert words[:2] == ["python", "-c"]
    compile(words[2], "HEALTHCHECK", "exec")
    assert "/health/live" in words[2]


@pytest.mark.parametrize("path", [ROOT / "Dockerfile", ROOT / "compose.yaml"], ids=str)
def test_no_secret_is_written_down(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    secret = re.compile(r"(PASSWORD|SECRET_KEY|PERSON_KEY|ROOT_USER)\s*[:=]\s+(\S+)")
    for name, value in secret.findall(text):
        assert value.startswith("${"), f"{path.name}: {name} has a value"
    for default in re.findall(r"\$\{(\w+):-", text):
        assert default == "STORE_IMAGE"


def test_only_what_is_built_from_goes_to_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert next(line for line in lines if not line.startswith("#")) == "*"
    copied = {
        word
        for line in dockerfile()
        if line.startswith("COPY") and "--from" not in line
        for word in line.split()[1:-1]
    }
    assert copied == kept
    assert all((ROOT / one).exists() for one in kept)


# The serving image's packages


def asked_for() -> list[Requirement]:
    """Return what the Dockerfile installs for the serving image."""
    (line,) = [one for one in dockerfile() if "pip install" in one and "tokenizers" in one]
    words = shlex.split(line.partition("pip install")[2].partition("&&")[0])
    return [
        Requirement(f"xinjian{one[1:]}" if one.startswith(".") else one)
        for one in words[2:]
        if one.startswith(".") or one[0].isalpha()
    ]


def closure() -> set[str]:
    """Return every distribution that they bring, by what is installed here."""
    waiting, seen = asked_for(), set[tuple[str, str]]()
    while waiting:
        one = waiting.pop()
        for extra in {"", *one.extras}:
            if (key := (canonicalize_name(one.name), extra)) not in seen:
                seen.add(key)
                found = [Requirement(line) for line in requires(one.name) or []]
                waiting += [r for r in found if not r.marker or r.marker.evaluate({"extra": extra})]
    return {name for name, _ in seen}


def test_the_serving_image_has_no_torch_and_every_package_in_a_version() -> None:
    found = closure()
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pins = re.findall(r"^([\w.-]+)==", text, flags=re.MULTILINE)
    assert {"fastapi", "mlflow-skinny", "onnxruntime", "openvino", "obstore"} < found
    assert not found & {"torch", "transformers", "mlflow", "scikit-learn", "pandas", "shap"}
    assert found - {canonicalize_name(pin) for pin in pins} == {"xinjian"}


@pytest.mark.slow
def test_the_service_loads_with_the_packages_of_the_serving_image_alone(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import sys
        from importlib.metadata import packages_distributions
        from packaging.utils import canonicalize_name

        allowed = set(sys.argv[1].split(","))
        there = packages_distributions()

        class Gate:
            def find_spec(self, name, path=None, target=None):
                brought = {canonicalize_name(one) for one in there.get(name, ())}
                if brought and not brought & allowed:
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)
                return None

        sys.meta_path.insert(0, Gate())
        import serving.app, serving.commands.serve, serving.runtime.runtime, serving.texts.texts
        import serving.reports, models.decide, models.risk.explain, models.text.classifier
        from mlflow import MlflowClient
        try:
            import torch
        except ModuleNotFoundError:
            print("loaded without torch")
        """
    )
    script = tmp_path / "gate.py"
    script.write_text(program, encoding="utf-8")
    command = [sys.executable, str(script), ",".join(closure())]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "loaded without torch\n", done.stderr


def test_nothing_in_the_home_is_imported_as_code() -> None:
    """It is the folder that a step's process starts in, and the service writes it."""
    (environment,) = [line for line in stages()["runtime"] if line.startswith("ENV")]
    assert "PYTHONSAFEPATH=1" in environment.split()


# Compose


def test_compose_takes_every_password_from_the_env_file() -> None:
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    asked = set(re.findall(r"\$\{(\w+):\?", text))
    example = (DEPLOY / "compose" / "compose.env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^(\w+)=$", example, flags=re.MULTILINE)) == asked
    assert not re.search(r"^\w+=.", example, flags=re.MULTILINE)
    assert "POSTGRES_PASSWORD" in asked
    plain = set(re.findall(r"\$\{(\w+)", text)) - asked
    assert plain == {"STORE_IMAGE"}


@pytest.mark.parametrize("name", list(our_services()))
def test_a_service_of_ours_has_few_rights_and_settings_that_there_are(name: str) -> None:
    service = our_services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    settings = {one for one in service["environment"] if one.startswith("XINJIAN_")}
    assert settings <= SETTINGS


def test_what_is_needed_is_a_service_and_every_volume_is_declared() -> None:
    found = compose()
    for service in found["services"].values():
        assert set(service.get("depends_on", {})) <= set(found["services"])
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert (ROOT / source).exists() if source[0] == "." else source in found["volumes"]
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")
    assert found["services"]["api"]["deploy"] == {"replicas": 2}
    assert found["services"]["migrate"]["restart"] == "on-failure"
    assert found["services"]["night"]["profiles"] == ["night"]


def test_postgres_is_healthy_only_once_it_listens_on_the_network() -> None:
    """Before, it makes the databases, and listens on its socket alone."""
    (_, words) = compose()["services"]["postgres"]["healthcheck"]["test"]
    assert "-h 127.0.0.1" in words


def test_the_store_options_of_compose_are_read() -> None:
    text = our_services()["api"]["environment"]["XINJIAN_STORAGE_OPTIONS"]
    filled = re.sub(r"\$\{(\w+):\?[^}]*\}", r"\1", text)
    settings = ServeSettings(storage_options=yaml.safe_load(filled))
    assert settings.storage["aws_secret_access_key"] == "MINIO_ROOT_PASSWORD"


# Kubernetes


def test_kustomize_lists_every_manifest_but_the_secret() -> None:
    (listed,) = documents(KUBERNETES / "kustomization.yaml")
    there = {path.name for path in KUBERNETES.glob("*.yaml")}
    assert set(listed["resources"]) == there - {"kustomization.yaml", "secret.example.yaml"}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl here")
def test_kustomize_builds() -> None:
    done = subprocess.run(
        ["kubectl", "kustomize", str(KUBERNETES)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    built = list(yaml.load_all(done.stdout, Strict))
    assert {one["metadata"].get("namespace", "xinjian") for one in built} == {"xinjian"}


def test_the_kinds_that_are_deployed() -> None:
    assert {one["kind"] for one in manifests()} == {
        *("Namespace", "ConfigMap", "Secret", "PersistentVolumeClaim", "NetworkPolicy", "Service"),
        *("Deployment", "Job", "CronJob", "PodDisruptionBudget", "Kustomization"),
    }


@workloads
def test_a_workload_has_few_rights_and_bounded_memory(workload: Node) -> None:
    assert pod(workload)["automountServiceAccountToken"] is False
    assert pod(workload)["securityContext"]["runAsNonRoot"] is True
    assert pod(workload)["securityContext"]["runAsUser"] == 10001
    rights = container(workload)["securityContext"]
    assert rights["readOnlyRootFilesystem"] is True
    assert rights["allowPrivilegeEscalation"] is False
    assert rights["capabilities"] == {"drop": ["ALL"]}
    resources = container(workload)["resources"]
    assert {"cpu", "memory"} == set(resources["requests"])
    assert "memory" in resources["limits"]


@workloads
def test_a_workload_can_write_where_the_image_writes(workload: Node) -> None:
    mounts = {one["name"]: one["mountPath"] for one in container(workload)["volumeMounts"]}
    assert set(mounts) == {one["name"] for one in pod(workload)["volumes"]}
    (config,) = of_kind("ConfigMap")
    assert config["data"]["XINJIAN_HOME"] in mounts.values()
    environment = " ".join(line for line in dockerfile() if line.startswith("ENV"))
    for name in ("NUMBA_CACHE_DIR", "XINJIAN_HOME"):
        (folder,) = re.findall(rf"\b{name}=(\S+)", environment)
        assert folder in mounts.values()


@workloads
def test_a_workload_is_selected_by_its_labels_alone(workload: Node) -> None:
    spec = workload["spec"]
    spec = spec["jobTemplate"]["spec"] if workload["kind"] == "CronJob" else spec
    labels = spec["template"]["metadata"]["labels"]
    assert labels == workload["metadata"]["labels"]
    if workload["kind"] == "Deployment":
        assert spec["selector"]["matchLabels"] == labels
    else:
        assert pod(workload)["restartPolicy"] in {"Never", "OnFailure"}


def test_every_variable_of_the_manifests_is_a_setting() -> None:
    (config,), (secret,) = of_kind("ConfigMap"), of_kind("Secret")
    assert {*config["data"], *secret["stringData"]} <= SETTINGS
    assert not set(config["data"]) & set(secret["stringData"])
    ServeSettings.model_validate(
        {one.removeprefix("XINJIAN_").lower(): value for one, value in config["data"].items()}
    )


def test_the_example_of_the_secret_has_no_value() -> None:
    (secret,) = of_kind("Secret")
    assert set(secret["stringData"].values()) == {""}


def test_probes_ask_paths_that_there_are() -> None:
    paths = set(create_app(ServeSettings()).openapi()["paths"])
    (api,) = [one for one in WORKLOADS if named(one) == "xinjian-api"]
    asked = {
        name: container(api)[f"{name}Probe"]["httpGet"]
        for name in ("startup", "liveness", "readiness")
    }
    assert {one["port"] for one in asked.values()} == {"http"}
    assert asked["readiness"]["path"] == "/health/ready"
    assert {one["path"] for one in asked.values()} <= paths


def test_the_service_and_the_budget_are_of_the_api() -> None:
    (service,), (budget,) = of_kind("Service"), of_kind("PodDisruptionBudget")
    (api,) = [one for one in WORKLOADS if named(one) == "xinjian-api"]
    labels = api["metadata"]["labels"]
    assert service["spec"]["selector"] == labels
    assert budget["spec"]["selector"]["matchLabels"] == labels
    assert budget["spec"]["minAvailable"] < api["spec"]["replicas"]


@pytest.mark.parametrize("cronjob", of_kind("CronJob"), ids=named)
def test_a_cronjob_runs_at_a_moment_there_is_and_never_twice_at_once(cronjob: Node) -> None:
    spec = cronjob["spec"]
    ranges = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
    for field, (low, high) in zip(spec["schedule"].split(), ranges, strict=True):
        assert field == "*" or low <= int(field) <= high
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["timeZone"] == "Asia/Shanghai"
    most = spec["jobTemplate"]["spec"]["activeDeadlineSeconds"]
    assert 3600 < most < 86_400, "one that hangs would hold up every later one"


def test_the_policies_cover_every_workload_and_refuse_what_they_do_not_name() -> None:
    every, api = of_kind("NetworkPolicy")
    for workload in WORKLOADS:
        assert (
            every["spec"]["podSelector"]["matchLabels"].items()
            <= workload["metadata"]["labels"].items()
        )
    assert every["spec"]["ingress"] == []
    assert set(every["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    assert api["spec"]["ingress"][0]["ports"] == [{"protocol": "TCP", "port": 8000}]
