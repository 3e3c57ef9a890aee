"""The file that a Flex Template's launcher runs describes a job, which Dataflow then starts."""

import json
import subprocess
import sys
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.command import environment
from tests.support.processes import ROOT

IMAGE = "example.com/project/dfpipe/worker"
# Runs the file with the libraries of the image alone: those of the extra that Dockerfile names.
PROGRAM = """
import runpy, sys
from tests.support.worker_program import Refusing, can_import, needed
sys.meta_path.insert(0, Refusing(needed(["dfpipe[beam,local]"])))
assert can_import("duckdb") and not can_import("flask")
runpy.run_path("template.py", run_name="__main__")
"""


def account_in(folder: Path) -> Path:
    """The file of a service account that nobody has; its tokens are asked for on this machine."""
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file = folder / "account.json"
    account = {
        "type": "service_account",
        "project_id": "project",
        "private_key_id": "1",
        "private_key": key.decode(),
        "client_email": "nobody@project.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "http://127.0.0.1:1/token",
    }
    file.write_text(json.dumps(account))
    return file


def test_a_job_is_described_and_not_waited_for(tmp_path: Path) -> None:
    for name in ("temp", "staging"):
        (tmp_path / name).mkdir()
    words = {
        "source": f"sqlite:///{tmp_path}/posts.db",
        "sink": f"duckdb:///{tmp_path}/results.duckdb",
        "until": "2026-01-07T10:00:00Z",
        "sdk_container_image": IMAGE,
        "runner": "DataflowRunner",
        "project": "project",
        "region": "europe-west1",
        "job_name": "analysis-1",
        "temp_location": f"{tmp_path}/temp",
        "staging_location": f"{tmp_path}/staging",
        "template_location": f"{tmp_path}/job.json",
        "dataflow_endpoint": "http://localhost:1",
        "sdk_location": "container",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "--no_auth", *(f"--{k}={v}" for k, v in words.items())],
        cwd=ROOT,
        env=environment({"GOOGLE_APPLICATION_CREDENTIALS": str(account_in(tmp_path))}),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    worker = (ROOT / "Dockerfile").read_text().partition(" AS worker\n")[2].partition("FROM ")[0]
    assert "'.[beam,local]'" in worker
    job = json.loads((tmp_path / "job.json").read_text())
    assert job["name"] == "analysis-1"
    [pool] = job["environment"]["workerPools"]
    assert pool["workerHarnessContainerImage"] == IMAGE
    # The image has all that workers need; Beam adds a list of what is installed here, for the log.
    assert [p["name"] for p in pool["packages"]] == ["submission_environment_dependencies.txt"]
    assert job["environment"]["sdkPipelineOptions"]["options"]["until"] == "2026-01-07T10:00:00Z"
    assert (tmp_path / "staging" / "pipeline.pb").stat().st_size > 0
