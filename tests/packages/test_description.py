"""What is said of the packages: versions, names, licences, materials, workflows."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from conftest import run
from package.__main__ import make_program_packages
from package.dependencies import of_program
from package.project import NPM_SERVER, NPM_TESTING, REPOSITORY, ROOT, VERSION, Target, targets

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
ACTIONS = [ROOT / "action.yml", ROOT / "actions/report/action.yml"]
COMPOSE = [ROOT / "docker-compose.yml", *sorted((ROOT / "packaging/compose").glob("*.yml"))]


def test_the_bill_of_materials_is_one_and_names_every_crate(made: Path, target: Target) -> None:
    text = (made / f"download/{target.asset}.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    assert (bill["metadata"]["component"]["name"], bill["metadata"]["component"]["version"]) == ("vestibule", VERSION)
    listed = {(part["name"], part["version"]) for part in bill["components"]}
    assert listed == {(crate.name, crate.version) for crate in of_program(target) if not crate.is_root}
    assert {"tokio", "sqlx", "aws-lc-sys", "libsqlite3-sys"} <= {name for name, _ in listed}
    # Macros and what only the build runs are not in the program.
    assert not {"serde_derive", "protox", "cc"} & {name for name, _ in listed}


def test_licence_texts_name_every_crate(made: Path, target: Target) -> None:
    packed = made / f"download/{target.asset}.tar.gz"
    text = run("tar", "-xzOf", packed, f"{target.asset}/THIRD-PARTY-LICENSES.txt", cwd=made)
    for crate in of_program(target):
        assert crate.is_root or f"\n{crate.name} {crate.version}: {crate.license}\n" in text


def test_the_same_program_and_sources_make_the_same_packages(target: Target, tmp_path: Path) -> None:
    contents = []
    for output in (tmp_path / "first", tmp_path / "second"):
        # Any program will do; this one is small.
        make_program_packages(target, Path("/bin/true"), output)
        files = [path for path in output.rglob("*") if path.is_file()]
        contents.append({path.relative_to(output): path.read_bytes() for path in files})
    assert len(contents[0]) == 6
    assert contents[0] == contents[1]


def test_all_packages_have_the_version_of_the_crate() -> None:
    node = json.loads((ROOT / "helpers/node/package.json").read_text())
    python = tomllib.loads((ROOT / "helpers/python/pyproject.toml").read_text())["project"]
    java = ElementTree.parse(ROOT / "helpers/java/pom.xml").findtext("{*}version")
    assert (node["version"], python["version"], java) == (VERSION, VERSION, VERSION)
    minor = ".".join(VERSION.split(".")[:2])
    for path in COMPOSE:
        for image in re.findall(r"vestibule-idp/vestibule:(\S+)", path.read_text()):
            assert image == minor, path.name


def test_npm_packages_depend_on_each_other_by_their_very_version(made: Path) -> None:
    def manifest(name: str) -> dict[str, dict[str, str]]:
        packed = made / f"npm/{name.removeprefix('@').replace('/', '-')}-{VERSION}.tgz"
        manifest: dict[str, dict[str, str]] = json.loads(run("tar", "-xzOf", packed, "package/package.json", cwd=made))
        return manifest

    assert manifest(NPM_TESTING)["dependencies"] == {NPM_SERVER: VERSION}
    programs = {target.npm_package: VERSION for target in targets().values()}
    assert manifest(NPM_SERVER)["optionalDependencies"] == programs


def test_binstall_finds_every_target() -> None:
    metadata = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["metadata"]["binstall"]
    assert set(metadata["overrides"]) == {target.triple for target in targets().values()}
    for target in targets().values():
        override = metadata["overrides"][target.triple]
        assert override["pkg-url"] == f"{{ repo }}/releases/download/v{{ version }}/{target.asset}{{ archive-suffix }}"
        assert override["bin-dir"] == f"{target.asset}/{{ bin }}{{ binary-ext }}"
        assert override.get("pkg-fmt", metadata["pkg-fmt"]) == ("zip" if target.is_windows else "tgz")


def test_the_crate_has_all_that_its_build_reads() -> None:
    listed = set(run("cargo", "package", "--list", "--locked", "--allow-dirty", cwd=ROOT).splitlines())
    sources = run(
        "git", "ls-files", "src", "build", "proto", "migrations", "static", "templates", cwd=ROOT
    ).splitlines()
    read = {*sources, "build.rs", "Cargo.lock", "docs/COMPATIBILITY.md", "LICENSE-APACHE", "LICENSE-MIT", "README.md"}
    assert read - listed == set()


@pytest.mark.parametrize(
    ("schema", "files"),
    [("vendor.github-workflows", WORKFLOWS), ("vendor.github-actions", ACTIONS), ("vendor.compose-spec", COMPOSE)],
)
def test_workflows_actions_and_compose_files_are_as_their_schema_says(schema: str, files: list[Path]) -> None:
    assert files
    run(Path(sys.executable).parent / "check-jsonschema", "--builtin-schema", schema, *files, cwd=ROOT)


def test_workflows_have_no_mistake_that_actionlint_finds(tmp_path: Path) -> None:
    actionlint = shutil.which("actionlint") or shutil.which("go")
    if actionlint is None:
        pytest.skip("neither actionlint nor Go to build it is installed")
    build = ["run", "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"] if actionlint.endswith("go") else []
    run(actionlint, *build, cwd=ROOT)


def test_shell_scripts_have_no_mistake_that_shellcheck_finds() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    names = ["packaging/install.sh", "scripts/newest-sdks", "scripts/package", "tests/packages/run"]
    scripts = [ROOT / name for name in names]
    run("shellcheck", *scripts, *sorted((ROOT / "scripts").glob("action-*")), cwd=ROOT)


def test_the_samples_for_testcontainers_have_no_mistake_of_syntax() -> None:
    samples = ROOT / "packaging/testcontainers"
    run("node", "--check", samples / "start.mjs", cwd=ROOT)
    compile((samples / "start.py").read_text(), "start.py", "exec")
    assert run("gofmt", "-l", samples, cwd=ROOT) == ""
    if shutil.which("javac") is None:
        pytest.skip("a JDK is not installed")
    # It stops before it looks for the classes.
    run("javac", "-proc:none", "-XDshould-stop.ifNoError=PARSE", samples / "StartTest.java", cwd=ROOT)


def test_the_repository_is_named_alike_everywhere() -> None:
    for path in ("packaging/install.sh", "packaging/homebrew/vestibule.rb", "packaging/image/Dockerfile"):
        named = set(re.findall(r"https://github\.com/[\w-]+/[\w-]+", (ROOT / path).read_text()))
        assert named == {REPOSITORY}, path
