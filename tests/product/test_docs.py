"""What is written is run: commands and code of the documents, examples in `--help` and `examples/`.

Links lead somewhere, and README stays short.
"""

import contextlib
import re
import runpy
import shlex
import shutil
import sys
from pathlib import Path

import click
import pytest

from progcodec.cli import main
from tests.support.command import ROOT, commands_of, run, shell

README = ROOT / "README.md"
GUIDES = [README, *sorted((ROOT / "docs").glob("*.md"))]
OTHERS = ("*.md", "fuzz/README.md", "progcodec/lab/hierarchy_build/README.md")
DOCUMENTS = sorted({*GUIDES, *(path for pattern in OTHERS for path in ROOT.glob(pattern))})
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
COMMANDS_MAX = 16
"""As many in a document as a reader follows, and as the time of the tests allows."""
WORDS_MAX = 700
COLUMNS_MAX = 100
PARSED = re.compile(
    r"progcodec (train|train-classifier|export|fit-tables|ablate|evaluate|bench|hierarchy build"
    r"|.* --engine)\b"
)
"""Commands that need hours, other machines, or what such a command leaves: their options are
checked."""


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(document: Path, *languages: str) -> list[str]:
    """The content of a document's fenced blocks in these languages, in order."""
    text = document.read_text(encoding="utf-8")
    fenced = re.findall(r"^```(\w*)[^\n]*\n(.*?)^```\s*$", text, re.DOTALL | re.MULTILINE)
    return [content for language, content in fenced if language in languages]


def commands(document: Path) -> list[str]:
    """Lines that run the program, alone, in a pipe or by `-m`; continued ones joined."""
    lines = "\n".join(blocks(document, "sh")).replace("\\\n", " ").splitlines()
    return [line for line in lines if re.search(r"(^|\| |-m )progcodec ", line)]


def parse(line: str) -> None:
    """Refuses an unknown command or option of a command line, as click does."""
    group, words = main, shlex.split(line[line.rindex("progcodec ") :], comments=True)[1:]
    context = click.Context(main, info_name="progcodec")
    while True:
        name, *words = words
        command = commands_of(group)[name]
        if not isinstance(command, click.Group):
            break
        group = command
    with contextlib.suppress(click.exceptions.Exit):  # of --help
        command.make_context(name, words, parent=context)


@pytest.fixture
def desk(tmp_path, monkeypatch, photograph, tiny_checkpoint) -> Path:
    """A working folder as the documents take it for granted: pictures, and weights of one's own."""
    monkeypatch.chdir(tmp_path)
    small = photograph.resize((256, 171))
    Path("photos").mkdir()
    for name in ("photo.jpg", "photos/one.jpg", "photos/two.png"):
        small.save(name)
    shutil.copy(tiny_checkpoint, "mine.safetensors")
    return tmp_path


def test_readme_is_short_and_tells_how_to_start():
    assert len(commands(README)) == 7 and len(blocks(README, "python")) == 1
    assert len(README.read_text("utf-8").split()) <= WORDS_MAX


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_lines_fit_and_commands_stand_in_blocks(document):
    """A command that stands elsewhere would not be run."""
    text = document.read_text("utf-8")
    assert [line for line in text.splitlines() if len(line) > COLUMNS_MAX] == []
    assert not re.search(r"^ {4,}(\$ )?progcodec ", text, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("document", GUIDES, ids=name_of)
def test_commands_run_one_after_the_other(desk, document):
    """In a folder of their own, so that each document can be followed by itself."""
    assert len(commands(document)) <= COMMANDS_MAX
    for line in commands(document):
        words = shlex.split(line, comments=True)
        if PARSED.search(line):
            parse(line)
        elif any(re.search(r"[|<>&;$`]", word) for word in words):
            code, told = shell(f'set -o pipefail; progcodec() {{ $P "$@"; }}; {line}')
            assert code == 0, (line, told)
        else:
            run(*words[1:])


@pytest.mark.parametrize(
    ("document", "number"),
    [(path, number) for path in GUIDES for number in range(len(blocks(path, "python")))],
    ids=lambda value: name_of(value) if isinstance(value, Path) else value,
)
def test_code_runs_by_itself(desk, document, number):
    """Each block alone, as it will be copied."""
    code = blocks(document, "python")[number]
    compiled = compile(code, f"{document.name}, python block {number + 1}", "exec")
    exec(compiled, {"__name__": "__main__"})  # noqa: S102


def test_every_promise_names_its_tests():
    lines = (ROOT / "docs" / "limits.md").read_text("utf-8").splitlines()
    cells = [line.split("|")[3] for line in lines if line.startswith("| ")][2:]
    for name in re.findall("`(.+?)`", "".join(cells)):
        folder = "fortress" if name == "limits" else "product"
        assert (ROOT / "tests" / folder / f"test_{name}.py").exists(), name
    assert len(cells) > 20


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(document):
    """Files that stand in the repository, and headings in them."""
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        name, _, heading = target.partition("#")
        path = document.parent / name if name else document
        assert path.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {
                re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles
            }, target


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_run(desk, path, monkeypatch, capsys):
    """By convention an example takes a picture as its first argument, and writes into the folder
    where it runs.
    """
    monkeypatch.setattr(sys, "argv", [str(path), "photo.jpg"])
    before = sorted(path.parent.iterdir())
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out.strip()
    assert sorted(path.parent.iterdir()) == before


def help_examples() -> list[str]:
    """Every command line in a help text: from the program's name to the end, without what explains
    it.
    """
    texts = [main.help or "", *(command.help or "" for command in commands_of().values())]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    found = [match[0] for line in lines if (match := re.search(r"(^|(?<=\| ))progcodec .*", line))]
    return [re.split(r"\s{2,}", line)[0] for line in found]


@pytest.mark.parametrize("line", help_examples())
def test_help_examples_parse(line):
    parse(re.sub(r"\s[<>|].*", "", line))


@pytest.mark.skipif(shutil.which("progcodec") is None, reason="the package is not installed")
def test_the_installed_command_is_this_program():
    code, told = shell("progcodec --version >&2")
    assert code == 0 and told.startswith("progcodec")
