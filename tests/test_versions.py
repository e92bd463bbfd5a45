"""Every dependency has a lowest version, and none that is installed is older."""

import importlib.metadata
import pathlib
import tomllib

import pytest
from packaging.requirements import Requirement

_PROJECT = tomllib.loads(
    (pathlib.Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8")
)["project"]
_REQUIRED = [Requirement(line) for line in _PROJECT["dependencies"]]
_OPTIONAL = [
    requirement
    for lines in _PROJECT["optional-dependencies"].values()
    for requirement in map(Requirement, lines)
    if requirement.name != _PROJECT["name"]
]


@pytest.mark.parametrize("requirement", _REQUIRED + _OPTIONAL, ids=str)
def test_a_lowest_version_is_given(requirement):
    assert any(part.operator in (">=", "~=", "==") for part in requirement.specifier)


@pytest.mark.parametrize("requirement", _REQUIRED, ids=str)
def test_what_is_required_is_installed(requirement):
    version = importlib.metadata.version(requirement.name)
    assert requirement.specifier.contains(version, prereleases=True), version


@pytest.mark.parametrize("requirement", _OPTIONAL, ids=str)
def test_what_is_optional_fits_if_installed(requirement):
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("not installed")
    assert requirement.specifier.contains(version, prereleases=True), version
