"""gcloud as the documents use it: their commands in one shell, with gcloud or a recorder of it."""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from tests.support.command import environment
from tests.support.documents import ROOT, Block, blocks
from tests.support.gcloud_apis import Apis
from tests.support.missing import missing

HOW_TO = ROOT / "docs" / "how-to"
CLOUD_RUN, APP_ENGINE = HOW_TO / "cloud-run.md", HOW_TO / "app-engine.md"
APIS = (
    "appengine artifactregistry cloudresourcemanager cloudscheduler compute dataflow eventarc "
    "firestore iam iap logging pubsub run secretmanager serviceusage storage"
).split()
# What the documents' commands need beside gcloud; a program that does nothing stands in for each.
OTHERS = ("curl", "docker", "launcher")
FILES = (
    "app.yaml",
    "collector/app.yaml",
    "cron.yaml",
    "dispatch.yaml",
    "metadata.json",
    "requirements.txt",
)
# A pipe into a program that does not read it breaks at times. Elsewhere the input is empty.
READ = "cat > /dev/null"
_MARK = "==== done ===="
_BOLD = re.compile(r"\x1b\[[\d;]*m")


@dataclass(frozen=True, slots=True)
class Section:
    """A block of commands, what the document says it prints, and what it printed."""

    commands: str
    expected: str
    printed: str

    @property
    def is_gcloud_alone(self) -> bool:
        return not re.search(rf"^({'|'.join(OTHERS)}) ", self.commands, flags=re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Followed:
    """What a how-to's commands printed, and what they did."""

    sections: list[Section]
    apis: Apis


def find_gcloud() -> str:
    """The path of gcloud."""
    found = shutil.which("gcloud")
    if found is None:
        missing("gcloud", "install Google's package google-cloud-cli")
    return found


def steps_before(document: Path) -> list[Block]:
    """The blocks of another document that are to be followed first."""
    if document != APP_ENGINE:
        return []
    return list(takewhile(lambda block: "export LAUNCHER=" not in block.body, blocks(CLOUD_RUN)))


def quiet(folder: Path) -> dict[str, str]:
    """An environment in which gcloud knows nobody, asks nothing and reports nothing."""
    return environment(
        {
            "HOME": str(folder),
            "CLOUDSDK_CONFIG": str(folder / "config"),
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
            "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "1",
        }
    )


def at(apis: Apis) -> dict[str, str]:
    """What sends gcloud to the stand-ins."""
    hosts = {
        f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api.upper()}": f"http://{api}.googleapis.com/"
        for api in APIS
    }
    return {
        **hosts,
        "CLOUDSDK_PROXY_TYPE": "http_no_tunnel",
        "CLOUDSDK_PROXY_ADDRESS": "127.0.0.1",
        "CLOUDSDK_PROXY_PORT": str(apis.port),
    }


def follow(document: Path, folder: Path, env: dict[str, str]) -> list[Section]:
    """Type in all commands of a document, in one shell that ends where one of them fails."""
    found = [*steps_before(document), *blocks(document)]
    commands = [n for n, block in enumerate(found) if block.language == "sh"]
    script = "\n".join(f'{found[n].body}printf "\\n%s\\n" "{_MARK}"' for n in commands)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=clone(folder),
        env={**env, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1200,
        check=False,
    )
    *printed, rest = _BOLD.sub("", done.stdout).split(f"\n{_MARK}\n")
    assert done.returncode == 0, f"{found[commands[len(printed)]].body}\n{rest}"
    return [
        Section(found[n].body, said_after(found[n + 1 : n + 2]), text)
        for n, text in zip(commands, printed, strict=True)
    ]


def said_after(following: Sequence[Block]) -> str:
    """The text of the block that follows one of commands, where it is what they print."""
    return next((block.body for block in following if block.language == "text"), "")


def clone(folder: Path) -> Path:
    """A folder with the files of a clone that the commands name, and programs that do nothing."""
    for name in FILES:
        copy = folder / "clone" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy)
    for name in OTHERS:
        program(folder, name, READ)
    return folder / "clone"


def program(folder: Path, name: str, text: str) -> None:
    """Put a program of that name before the others."""
    file = folder / "bin" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


def recorded(document: Path, folder: Path) -> list[list[str]]:
    """The calls of gcloud in a document: their words, after the shell has read them."""
    file = folder / "calls"
    calls = shlex.quote(str(file))
    record = f"printf '%s\\037' \"$@\" >> {calls}\necho >> {calls}\necho printed"
    program(folder, "gcloud", f"{READ}\n{record}")
    follow(document, folder, quiet(folder))
    return [line.split("\x1f")[:-1] for line in file.read_text().split("\n")[:-1]]


def named_in_text(document: Path) -> Iterator[list[str]]:
    """The calls of gcloud that stand within the sentences of a document."""
    for call in re.findall(r"`gcloud ([^`]+ [^`]+)`", document.read_text(encoding="utf-8")):
        yield shlex.split(re.sub(r"\$\w+", "printed", call))


def refused(calls: Sequence[Sequence[str]], folder: Path) -> dict[str, str]:
    """What gcloud's own parser says against calls: nothing against those that it accepts."""
    file = folder / "commands.json"
    commands = sorted({shlex.join(["gcloud", *call]) for call in calls})
    file.write_text(json.dumps([{"command_string": command} for command in commands]))
    done = subprocess.run(
        [find_gcloud(), "meta", "lint-gcloud-commands", f"--commands-file={file}"],
        env=quiet(folder),
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    found = json.loads(done.stdout)
    assert len(found) == len(commands)
    return {r["command_string"]: r["error_message"] for r in found if not r["success"]}
