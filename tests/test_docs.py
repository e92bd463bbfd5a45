"""README: its Python blocks run, its commands are those of `.ci/run`, its claims are current."""

import pathlib
import re
import subprocess
import sys

import pytest
from command import main

import plrjax as plr

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip().startswith("pip install")]


def test_readme_has_exactly_the_two_commands_of_ci():
    assert commands("\n".join(blocks("bash"))) == commands((ROOT / ".ci" / "run").read_text())
    assert len(commands((ROOT / ".ci" / "run").read_text())) == 2


def test_commands_come_right_after_what_it_does():
    opening = README.split("```bash")[0].strip().splitlines()
    assert opening[0].startswith("# plrjax")
    prose = [line for line in opening[1:] if line.strip() and not line.startswith("#")]
    assert len(prose) <= 7, "five lines say what plrjax does, then come the commands"


def test_python_blocks_run(tmp_path):
    """All blocks are one program, run where `network.npz` exists."""
    pytest.importorskip("matplotlib")
    plr.save(tmp_path / "network.npz", plr.example_network())
    program = "import matplotlib\nmatplotlib.use('Agg')\n" + "\n".join(blocks("python"))
    half_written = "ignore:Error reading persistent compilation cache entry"  # see pyproject.toml
    options = ["-W", "error", "-W", half_written]
    ran = subprocess.run(
        [sys.executable, *options, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr


def test_table_shown_is_the_one_printed(capsys):
    assert main(["cycles", "--periods", "1:10"]) == 0
    printed = counted(capsys.readouterr().out)
    assert len(printed) == 11 and printed == counted(blocks("text")[0])
    assert all(row[1] == row[2] for row in printed[1:]), "README: as many as the map, to period 10"


def counted(table: str) -> list[list[str]]:
    """Return the title and the counts per period, without the estimates, which may vary."""
    rows = [line.split() for line in table.strip().splitlines()]
    return [rows[0]] + [row[:8] for row in rows if row and row[0].isdigit() and row[1].isdigit()]


@pytest.mark.parametrize("kind", [plr.COVERAGE, plr.STABILITY])
def test_every_word_of_a_result_is_explained(kind):
    for item in kind:
        assert f"`{item.name}`" in README, f"README does not explain {kind.__name__}.{item.name}"


def test_every_option_exists(capsys):
    assert main(["cycles", "--help"]) == 0
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    used = {
        option
        for line in re.findall(r"plrjax cycles[^`\n]*", README)
        for option in re.findall(r"--[a-z-]+", line)
    }
    assert used and used <= known


def test_links_point_to_files_that_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target
