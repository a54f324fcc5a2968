"""The environment of a result: versions, commit, hardware and command."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypedDict

import torch

from memlm import kernels


class Program(TypedDict):
    """The version of memlm that made a result, and the date."""

    date: str
    memlm: str
    commit: str | None


def environment() -> dict[str, Any]:
    """Versions, commit, hardware, command and date of this process, for a run's env.json."""
    return {
        **program(),
        "command": ["memlm", *sys.argv[1:]],
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": version("numpy"),
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "kernels": kernels.described(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def program() -> Program:
    """The version and commit of this memlm, and the date of today."""
    return Program(date=datetime.now(UTC).isoformat(timespec="seconds"), memlm=version("memlm"), commit=commit())


def commit() -> str | None:
    """The commit of the git checkout that memlm runs from, with `+` if files were changed. None outside a checkout."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        tracked = subprocess.run([*git, "ls-files", "--error-unmatch", __file__], capture_output=True, check=False)
        if tracked.returncode:
            return None
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        changes = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+" if changes.stdout.strip() else "")


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
