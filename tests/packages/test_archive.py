"""What users download: the program, the archive, the checksums, the installer."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from conftest import run, serving_files
from package import release
from package.project import PACKAGING, VERSION, Target, targets
from sign_in import signed_in_address
from vestibule_testing import start_server


@pytest.fixture
def releases(made: Path, target: Target, tmp_path: Path) -> Path:
    """A folder as the forge lays out a release, with stand-ins for the programs of other targets."""
    latest = tmp_path / "releases/latest/download"
    shutil.copytree(made / "download", latest)
    for other in targets().values():
        if not other.is_windows and other != target:
            (latest / f"{other.asset}.tar.gz").write_text(other.name)
    release.make(latest)
    shutil.copytree(latest, tmp_path / f"releases/download/v{VERSION}")
    return tmp_path / "releases"


def install(url: str, *options: str | Path) -> subprocess.CompletedProcess[str]:
    command = ["sh", PACKAGING / "install.sh", "--from", url, *options]
    env = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)


def test_an_unpacked_archive_signs_in_and_is_gone_when_its_folder_is(made: Path, target: Target, home: Path) -> None:
    folder = home / "unpacked"
    run("tar", "-xzf", made / f"download/{target.asset}.tar.gz", f"--one-top-level={folder}", cwd=home)
    program = folder / target.asset / "vestibule"
    assert run(program, "--version", cwd=home) == f"vestibule {VERSION}\n"
    with start_server(binary=program) as server:
        assert signed_in_address(server.new_environment(instant_sign_in=True)) == "ada@example.com"
    shutil.rmtree(folder)
    assert [path.name for path in home.rglob("*")] == ["tmp"]


def test_an_archive_brings_licences_and_documents(made: Path, target: Target) -> None:
    with tarfile.open(made / f"download/{target.asset}.tar.gz") as archive:
        names = {Path(name).name for name in archive.getnames()}
    texts = {"LICENSE-APACHE", "LICENSE-MIT", "THIRD-PARTY-LICENSES.txt"}
    assert names == texts | {"vestibule", "README.md", "CHANGELOG.md", "vestibule.example.toml"}


def test_the_program_alone_is_that_of_the_archive(made: Path, target: Target) -> None:
    with tarfile.open(made / f"download/{target.asset}.tar.gz") as archive:
        member = archive.extractfile(f"{target.asset}/vestibule")
        assert member is not None
        assert hashlib.file_digest(member, "sha256").digest() == digest(made / f"download/{target.asset}")


def digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def test_checksums_are_those_of_the_files(releases: Path) -> None:
    run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=releases / "latest/download")


@pytest.mark.parametrize("options", [[], ["--version", VERSION], ["--version", f"v{VERSION}"]])
def test_the_installer_installs_the_latest_release_or_another(
    releases: Path, tmp_path: Path, options: list[str]
) -> None:
    with serving_files(releases) as url:
        done = install(url, *options, "--to", tmp_path / "bin")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"installed vestibule {VERSION} as {tmp_path}/bin/vestibule\n")
    assert run(tmp_path / "bin/vestibule", "--version", cwd=tmp_path) == f"vestibule {VERSION}\n"


def test_the_installer_installs_nothing_that_is_not_what_the_checksum_says(
    releases: Path, target: Target, tmp_path: Path
) -> None:
    with (releases / f"latest/download/{target.asset}").open("ab") as program:
        program.write(b"changed on its way")
    with serving_files(releases) as url:
        done = install(url, "--to", tmp_path / "bin")
    assert done.returncode == 1
    assert "Nothing was installed." in done.stderr
    assert not (tmp_path / "bin").exists()


def test_the_installer_says_that_there_is_no_such_version(releases: Path, tmp_path: Path) -> None:
    with serving_files(releases) as url:
        done = install(url, "--version", "99.0.0", "--to", tmp_path / "bin")
    assert done.returncode == 1
    assert "download/v99.0.0/SHA256SUMS cannot be downloaded" in done.stderr


def test_the_formula_has_the_checksums_of_the_archives(releases: Path, target: Target) -> None:
    text = (releases / "latest/download/vestibule.rb").read_text()
    assert "@" not in text
    assert f'version "{VERSION}"' in text
    archive = releases / f"latest/download/{target.asset}.tar.gz"
    assert f'{archive.name}"\n      sha256 "{digest(archive).hex()}"' in text
