"""What a manifest says about environment and code: the listed names, the exact commits."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sfteval import __version__
from sfteval.train import surroundings
from sfteval.train.surroundings import KEPT, code, commit, environment


@pytest.fixture
def project(tmp_path):
    def git(*arguments):
        named = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *named, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "-q")
    (tmp_path / "train.yaml").write_text("a")
    git("add", ".")
    git("commit", "-qm", "one")
    return tmp_path, git("rev-parse", "HEAD")


def test_only_listed_names_are_kept_and_no_secret_is_listed(monkeypatch):
    for name in KEPT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_HOME", "/home/somebody")
    assert environment() == {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "3"}
    assert not [
        name
        for name in KEPT
        if any(word in name for word in ("TOKEN", "KEY", "SECRET", "HOME", "PATH")) and name != "TOKENIZERS_PARALLELISM"
    ]


def test_the_commit_and_whether_files_differ_from_it(project):
    folder, head = project
    (folder / "new.txt").write_text("not tracked")
    assert commit(folder) == {"commit": head, "dirty": False}
    (folder / "train.yaml").write_text("b")
    assert commit(folder) == {"commit": head, "dirty": True}


def test_a_repository_runs_nothing_of_its_own(project):
    folder, head = project
    trap = folder / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {folder}/sprung\n")
    trap.chmod(0o755)
    subprocess.run(["git", "config", "core.fsmonitor", str(trap)], cwd=folder, check=True)
    assert commit(folder) == {"commit": head, "dirty": False}
    assert not (folder / "sprung").exists()


def test_a_package_inside_somebody_elses_repository_has_no_commit_of_its_own(project, monkeypatch):
    folder, head = project
    package = folder / "venv" / "sfteval"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "_version.py").write_text("")
    monkeypatch.setattr(surroundings.sfteval, "__file__", str(package / "__init__.py"))
    assert code(folder) == {
        "project": {"commit": head, "dirty": False},
        "sfteval": {"version": __version__, "commit": None, "dirty": None},
    }


def test_without_git_nothing_is_claimed(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert code(tmp_path) == {"project": None, "sfteval": {"version": __version__, "commit": None, "dirty": None}}
    assert commit(Path("/")) is None
