"""The folder of the system's files, and the secrets in it."""

import fcntl
import os
import re
import secrets
from pathlib import Path

import click

from service.auth import SHORTEST_TOKEN
from service.errors import UsageError
from service.files import private_folder, write_whole


def made_folder(folder: Path) -> Path:
    """The folder, which only its owner may enter if it is new: posts and results are in it."""
    try:
        return private_folder(folder)
    except OSError as error:
        raise UsageError(
            f"cannot create the folder {folder}: {error.strerror}: name another with --folder"
        ) from error


def take_folder(folder: Path) -> None:
    """Keep other systems out of the folder until this process ends. Raises UsageError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UsageError(
            f"another `dfpipe serve` uses the folder {folder}: stop it, or name another with "
            "--folder"
        ) from error
    if os.fstat(handle).st_mode & 0o005:
        click.echo(
            f"dfpipe: other users of this machine can read the posts in {folder}: `chmod 700 "
            f"{folder}` keeps them private",
            err=True,
        )


def token_in(file: Path) -> str:
    """The token in a file that only its owner can read; creates a missing file."""
    try:
        if not file.exists():
            write_whole(file, f"{secrets.token_urlsafe()}\n", mode=0o600)
        token = file.read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        raise _unusable(file, error) from error
    if not re.fullmatch(rf"[!-~]{{{SHORTEST_TOKEN},}}", token):
        raise UsageError(
            f"{file} holds no token, which is a line of at least {SHORTEST_TOKEN} characters: "
            "remove it, and the next start makes another"
        )
    return token


def write_secret(file: Path, text: str) -> Path:
    """Write a file that only its owner may read."""
    try:
        write_whole(file, f"{text}\n", mode=0o600)
    except OSError as error:
        raise _unusable(file, error) from error
    return file


def _unusable(file: Path, error: OSError) -> UsageError:
    return UsageError(f"cannot use {file}: {error.strerror}: check its permissions")
