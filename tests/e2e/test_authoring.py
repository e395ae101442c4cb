"""The authoring guide, run as printed: every command of docs/authoring.md, its exit status and its output."""

import re
import subprocess

import pytest

import harness

GUIDE = harness.REPO / "docs/authoring.md"
GUIDE_ZH = harness.REPO / "docs/authoring.zh-CN.md"


def blocks(path, kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", path.read_text(), re.M | re.S)


def steps(path):
    """[(command, expected lines, exit status)] in order."""
    found = []
    for block in blocks(path, "console"):
        lines = iter(block.splitlines())
        for line in lines:
            if line.startswith("$ "):
                command = line[2:]
                while command.endswith("\\"):
                    command = command[:-1] + next(lines).strip()
                found.append([command, [], 0])
            elif match := re.fullmatch(r"\[exit status (\d+)\]", line):
                found[-1][2] = int(match.group(1))
            else:
                found[-1][1].append(line)
    return found


def squeeze(line):
    return re.sub(r"\s+", " ", line).strip()


def compare(command, expected, output):
    """Printed lines stand in the output one after the other; "..." skips some."""
    lines = [squeeze(line) for line in output.splitlines() if line.strip()]
    at, skip = 0, not expected
    for wanted in (squeeze(line) for line in expected if line.strip()):
        if wanted == "...":
            skip = True
            continue
        places = [i for i in range(at, len(lines)) if lines[i] == wanted]
        where = places[0] if places and skip else at
        if where >= len(lines) or lines[where] != wanted:
            raise AssertionError(f"$ {command}\nwanted: {wanted}\ngot:\n{output}")
        at, skip = where + 1, False
    assert skip or at == len(lines) or not expected, f"$ {command}\nmore output than printed:\n{output}"


@pytest.fixture
def scratch(workspace, admin_environment):
    """A folder that looks like the top of a checkout, and the environment the guide asks for."""
    folder = workspace / "guide"
    folder.mkdir()
    for name, target in {"docs": harness.REPO / "docs", "proto": harness.REPO / "proto",
                         "schemas": harness.REPO / "schemas", "deploy": harness.REPO / "deploy",
                         "build": harness.BUILD}.items():
        (folder / name).symlink_to(target)
    environment = admin_environment
    yield folder, environment
    if (folder / "work/trial").exists():
        subprocess.run(["deploy/trial.sh", "down", "work/trial"], cwd=folder, env=environment, check=False)
    for name in ("clean", "codes", "messy", "control"):
        subprocess.run([harness.PG_BIN / "dropdb", "--if-exists", f"guide_{name}"], env=environment,
                       check=False)
    subprocess.run([harness.PG_BIN / "psql", "-q", "-d", "postgres", "-c", "DROP ROLE IF EXISTS sluice_guide"],
                   env=environment, check=False)


def test_every_command_of_the_guide_does_what_it_says(scratch):
    folder, environment = scratch
    found = steps(GUIDE)
    assert len(found) > 30
    for command, expected, status in found:
        done = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == status, f"$ {command}\nended {done.returncode}\n{done.stdout}"
        compare(command, expected, done.stdout)


def test_the_comparison_can_fail():
    compare("x", ["a", "...", "c"], "a\nb\nc\n")
    compare("x", ["a  b", "..."], "a b\nrest\n")
    for expected in (["b"], ["a"], ["a", "c"], ["...", "d"], ["a", "b", "c", "d"]):
        with pytest.raises(AssertionError):
            compare("x", expected, "a\nb\nc\n")


def test_both_languages_show_the_same_commands_and_files():
    assert steps(GUIDE) == steps(GUIDE_ZH)
    assert blocks(GUIDE, "yaml") == blocks(GUIDE_ZH, "yaml")
    assert blocks(GUIDE, "yaml") == [(harness.REPO / "docs/examples/messy.yaml").read_text()]
