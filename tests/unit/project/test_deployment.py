"""The files that deploy the system: App Engine's, and the images."""

import json
import re
import shlex
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import apache_beam
import pytest
import yaml
from gunicorn.config import Config

from launcher.chains.chains import read_chains
from launcher.settings import read_settings, variables
from service.gunicorn_server import DeadlineWorker
from service.listening import LONG_TIMEOUT
from system import cron as clock
from system import system
from tests.support.command import environment
from tests.support.missing import missing
from tests.support.processes import ROOT
from tests.support.queue_stub import ENVIRONMENT

FILES = ("app.yaml", "collector/app.yaml", "cron.yaml", "dispatch.yaml", "queue.yaml", "index.yaml")
SERVICES = {"launcher": "launcher", "default": "collector"}
# Every service has these at its own address, for Prometheus and platforms. Where the services share
# one address, they are the launcher's, and the collector's are below /collector.
OWN = ("/healthz", "/metrics")
# The login and the style sheet are the same in all services: one session is good for all of them.
SHARED = ("/pages/login", "/pages/logout", "/pages/service/")
MOST_RULES = 10  # App Engine allows 20
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def google_reads(*files: Path) -> dict[str, Any]:
    """What Google's own parsers say to files."""
    if not (ENVIRONMENT / "made").exists():
        missing("App Engine's library", "run `make emulators`")
    parser = ROOT / "tests" / "support" / "app_engine_parser.py"
    words = [str(ENVIRONMENT / "bin" / "python"), str(parser), *map(str, files)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def read_by_google() -> dict[str, Any]:
    return google_reads(*(ROOT / name for name in FILES))


@pytest.mark.parametrize("name", FILES)
def test_google_accepts_the_file(name: str, read_by_google: dict[str, Any]) -> None:
    assert "found" in read_by_google[str(ROOT / name)], read_by_google[str(ROOT / name)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("app.yaml", "runtime: python311\nservices: launcher\n"),
        ("cron.yaml", "cron:\n- url: /a\n  schedules: every 5 hours\n"),
        ("dispatch.yaml", "dispatch:\n- url: /a\n  service: launcher\n"),
        ("queue.yaml", "queue:\n- name: default\n  rate: fast\n"),
        ("index.yaml", "indexes:\n- kinds: Tweet\n"),
    ],
    ids=["app", "cron", "dispatch", "queue", "index"],
)
def test_google_refuses_what_is_wrong(name: str, text: str, tmp_path: Path) -> None:
    """So that the test above tells something."""
    file = tmp_path / name
    file.write_text(text)
    assert "refused" in google_reads(file)[str(file)]


def routes(name: str, folder: Path, *urls: str) -> dict[str, Any]:
    """The routes of a service, and what URLs answer to a GET without proof."""
    kept = {k: v for k, v in environment().items() if not k.startswith(("LAUNCHER_", "COLL"))}
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.service_routes", name, str(folder), *urls],
        env=kept,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def cron_urls() -> list[str]:
    entries = yaml.safe_load((ROOT / "cron.yaml").read_text())["cron"]
    return [entry["url"] for entry in entries]


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory, cron_urls: list[str]) -> dict[str, Any]:
    return {
        service: routes(name, tmp_path_factory.mktemp(name), *cron_urls)
        for service, name in SERVICES.items()
    }


def urls_of(service: dict[str, Any]) -> list[str]:
    """A URL of each route that is not the service's own."""
    found = [re.sub(r"<[^>]*>", "x", rule) for rule, _ in service["rules"]]
    return [url for url in found if not url.startswith(OWN)]


def routed(url: str, rules: list[list[Any]]) -> str:
    """The service that App Engine sends a URL to, by Google's reading of dispatch.yaml."""
    for host, path, is_exact, service in rules:
        assert host == "*"
        if url == path or (not is_exact and url.startswith(path)):
            return str(service)
    return "default"


def test_every_route_goes_to_its_service(
    services: dict[str, Any], read_by_google: dict[str, Any]
) -> None:
    rules = read_by_google[str(ROOT / "dispatch.yaml")]["found"]
    assert len(rules) <= MOST_RULES
    ours = [
        (rule["url"], rule["service"])
        for rule in yaml.safe_load((ROOT / "dispatch.yaml").read_text())["dispatch"]
    ]
    for name, service in services.items():
        for url in urls_of(service):
            expected = "launcher" if url.startswith(SHARED) else name
            assert routed(url, rules) == expected, url
            assert clock.service_of(url, ours) == expected, url


def test_every_rule_is_of_a_route(services: dict[str, Any], read_by_google: dict[str, Any]) -> None:
    for _, path, is_exact, name in read_by_google[str(ROOT / "dispatch.yaml")]["found"]:
        urls = urls_of(services[name])
        assert any(url == path or (not is_exact and url.startswith(path)) for url in urls), path


def test_cron_calls_routes_that_ask_for_proof(
    services: dict[str, Any], cron_urls: list[str]
) -> None:
    jobs = clock.read_jobs(ROOT / "cron.yaml", ROOT / "dispatch.yaml")
    assert [job.url for job in jobs] == cron_urls
    for job in jobs:
        service = services[job.service]
        assert [job.url, "GET"] in [[r, m] for r, ms in service["rules"] for m in ms]
        assert service["codes"][job.url] == 403


def test_cron_starts_a_chain_for_every_slot() -> None:
    schedules = {
        e["url"]: e["schedule"] for e in yaml.safe_load((ROOT / "cron.yaml").read_text())["cron"]
    }
    slot = read_settings({}).slot
    assert schedules[system.LAUNCH_URL] == f"every {slot.seconds // 3600} hours"


@pytest.mark.parametrize("file", ["app.yaml", "collector/app.yaml"])
def test_app_engine_serves_with_the_deadline_of_serve(file: str) -> None:
    entrypoint = yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))["entrypoint"]
    name, *args = shlex.split(entrypoint.replace("$PORT", "8080"))
    assert name == "gunicorn"
    config = Config()
    given = config.parser().parse_args(args)
    assert given.args == [f"{'collector' if '/' in file else 'launcher'}.app:create_app()"]
    assert given.worker_class == f"{DeadlineWorker.__module__}.{DeadlineWorker.__name__}"
    assert given.timeout == LONG_TIMEOUT


def test_the_launcher_on_app_engine() -> None:
    app = yaml.safe_load((ROOT / "app.yaml").read_text())
    assert app["service"] == "launcher"
    assert "launcher.app:create_app()" in app["entrypoint"]
    source = (ROOT / "service" / "auth.py").read_text()
    for name in app["env_variables"]:
        assert name in variables() or f'"{name}"' in source, name
    google = {"GAE_ENV": "standard", "GOOGLE_CLOUD_PROJECT": "p"}
    settings = read_settings({**app["env_variables"], **google})
    assert settings.store == "datastore://p"
    assert settings.dataflow.project == "p"
    assert settings.auth.on_app_engine
    [chain] = read_chains(ROOT / settings.chains_yaml).values()
    assert not any(step.kind in ("local", "dataflow") for step in chain.steps)


def test_the_chains_of_both_places_are_the_same_steps() -> None:
    here, there = (read_chains(ROOT / f"chains{end}.yaml") for end in ("", "-dataflow"))
    assert [(c.name, [s.name for s in c.steps]) for c in here.values()] == [
        (c.name, [s.name for s in c.steps]) for c in there.values()
    ]


def test_hadolint_has_nothing_to_say_to_the_dockerfile(tmp_path: Path) -> None:
    hadolint = str(Path(sys.executable).with_name("hadolint"))

    def said(file: Path) -> str:
        words = [hadolint, "--no-color", str(file)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
        return done.stdout + done.stderr

    assert said(ROOT / "Dockerfile") == ""
    wrong = tmp_path / "Dockerfile"
    wrong.write_text("FROM python\nRUN cd /tmp\n")
    assert "DL3006" in said(wrong)


def copied() -> list[str]:
    """What the Dockerfile takes from this folder."""
    lines = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, flags=re.MULTILINE)
    return [source for line in lines for source in line.split()]


def test_what_the_images_take_is_there_and_is_sent() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*"
    sent = {line[1:] for line in lines if line.startswith("!")}
    assert sent == set(copied())
    assert [source for source in copied() if not (ROOT / source).exists()] == []


def test_the_images_have_all_packages() -> None:
    include = (ROOT / "setup.py").read_text()
    packages = {p.parent.name for p in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert {"dfpipe", "service", "system"} <= packages
    assert all(f'"{name}"' in include for name in packages)
    assert packages <= set(copied())
    for name in ("queue.yaml", "chains.yaml", "chains-dataflow.yaml"):
        assert name in copied()


def test_what_the_how_tos_write_here_is_not_for_git() -> None:
    guides = [ROOT / "docs" / "how-to" / f"{name}.md" for name in ("cloud-run", "app-engine")]
    text = "\n".join(guide.read_text(encoding="utf-8") for guide in guides)
    written = set(re.findall(r"(?:cat > |cp \S+ |mkdir -p )([\w./-]+)", text))
    assert written == {"services.yaml", "page.yaml", "collector.yaml", "none"}
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()}
    assert written <= ignored
    # App Engine is sent nothing that git passes over, but the file that it deploys by.
    sent = (ROOT / ".gcloudignore").read_text().partition("#!include:.gitignore")[2]
    assert "!/collector.yaml" in sent.splitlines()


def test_no_image_runs_a_service_as_root() -> None:
    service = DOCKERFILE.split(" AS service", 1)[1]
    assert re.search(r"^USER \d+$", service, flags=re.MULTILINE)


def test_beam_has_one_version_everywhere() -> None:
    version = apache_beam.__version__
    named = {
        "constraints.txt": re.findall(
            r"^apache-beam==(.*)$", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE
        ),
        "Dockerfile": re.findall(r"^ARG BEAM=(.*)$", DOCKERFILE, flags=re.MULTILINE),
    }
    assert named == {file: [version] for file in named}
    # A requirement, an image, a program of Beam's Go module, or a sentence. Flink's job server is
    # in Java, and has a version of its own.
    pattern = re.compile(
        r"(?:apache[-_]beam(?:\[gcp\])?==|beam_python[\d.]+_sdk:|beam/sdks/\S+@v"
        r"|(?<!job server of )Beam )(\d[\d.]+\d)"
    )
    texts = [*ROOT.glob("*.*"), *(ROOT / "docs").rglob("*.md")]
    texts += [ROOT / name for name in ("Makefile", "Dockerfile", ".ci/run")]
    folders = ("dfpipe", "taskqueue", "workflow", "collector", "launcher", "benchmarks", "tests")
    for file in [*texts, *(file for name in folders for file in (ROOT / name).rglob("*.py"))]:
        if file.is_file() and not fnmatchcase(file.name, "*.lock"):
            found = pattern.findall(file.read_text(encoding="utf-8", errors="replace"))
            assert set(found) <= {version}, file


def test_the_engines_are_of_the_beam_that_is_installed() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert "apache_beam.version" in re.findall(r"^BEAM = (.*)$", makefile, re.MULTILINE)[0]
    assert set(re.findall(r"beam/sdks/\S+?@v([^\s;]+)", makefile)) == {"$(BEAM)"}


def test_python_has_one_version_in_the_images() -> None:
    [version] = re.findall(r"^ARG PYTHON=(.*)$", DOCKERFILE, flags=re.MULTILINE)
    assert f"python{version.replace('.', '')}-template-launcher-base" in DOCKERFILE
    for name in ("app.yaml", "collector/app.yaml"):
        assert f"runtime: python{version.replace('.', '')}\n" in (ROOT / name).read_text()
    assert f'python_requires=">={version}"' in (ROOT / "setup.py").read_text()
