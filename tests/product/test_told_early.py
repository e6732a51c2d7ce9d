"""What is wrong with a command, and can be known without the network, is told before torch is
loaded.
"""

import json
from pathlib import Path

import pytest
from PIL import Image

from progcodec.bitstream.container import Header, write
from tests.support.command import STREAM, python
from tests.support.samples import flipped

PROGRAM = """
import io, json, sys
from click.testing import CliRunner
from progcodec.cli import main
told = []
for arguments in json.load(sys.stdin):
    result = CliRunner().invoke(main, arguments, input=b"no stream")
    told.append([result.exit_code, result.stderr, "torch" in sys.modules])
print(json.dumps(told))
"""


@pytest.fixture
def here(tmp_path, monkeypatch, tiny_checkpoint) -> Path:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (64, 48), "teal").save("p.png")
    Path("foreign.shc").write_bytes(STREAM)
    fingerprint = bytes.fromhex("d9cf40c4")
    own = write(Header(64, 48, fingerprint), [bytes(range(n)) for n in (20, 40, 60, 80)])
    Path("own.shc").write_bytes(own)
    Path("torn.shc").write_bytes(flipped(own, 60))
    Path("there.shc").write_bytes(STREAM)
    Path("there.png").write_bytes(Path("p.png").read_bytes())
    Path("text.txt").write_text("neither a picture nor a stream")
    Path("other.safetensors").write_bytes(tiny_checkpoint.read_bytes()[:500])
    Path("empty").mkdir()
    return tmp_path


def test_errors_that_need_no_network_load_no_torch(here, tiny_checkpoint):
    own = ["--model", str(tiny_checkpoint)]
    cases = {
        ("encode", "missing.png"): "missing.png: No such file",
        ("encode", "empty"): "no fitting files",
        ("encode", "text.txt"): "not a picture",
        ("encode", "p.png", "-o", "there.shc"): "there.shc exists",
        ("encode", "p.png", "--model", "nobody"): "no shipped checkpoint of that name",
        ("encode", "p.png", "--model", "missing.safetensors"): "no such checkpoint",
        ("encode", "p.png", "--model", "other.safetensors"): "cannot be read as a checkpoint",
        ("encode", "p.png", "--bytes", "5"): "5 bytes cannot hold the header",
        ("encode", "p.png", "--bpp", "0.01"): "3 bytes cannot hold the header",
        ("encode", "p.png", "--max-pixels", "100"): "limit",
        ("encode", "p.png", "--level", "best"): "best",
        ("encode", "p.png", "--psnr", "30", "--quality", "1"): "--psnr",
        ("encode", "p.png", "--resume", "--model", "nobody"): "no shipped checkpoint of that name",
        ("decode", "missing.shc"): "missing.shc: No such file",
        ("decode", "text.txt"): "not a .shc stream",
        ("decode", "foreign.shc"): "61626364, which does not come with this version",
        ("decode", "foreign.shc", *own): "61626364, not d9cf40c4",
        ("decode", "own.shc", *own, "-o", "there.png"): "there.png exists; choose another",
        ("decode", "own.shc", *own, "--region", "60,0,10,10"): "not inside the picture",
        ("decode", "own.shc", *own, "--bytes", "9"): "9 bytes cannot hold the header",
        ("decode", "own.shc", *own, "--max-pixels", "100"): "limit",
        ("decode", "torn.shc", *own): "coarse segment is damaged",
        ("decode", "-", "-o", "new.png"): "standard input: not a .shc stream",
        ("demo", "missing.png"): "missing.png",
        ("demo", "p.png", "-o", "there.png"): "there.png exists",
        ("demo", "p.png", "-o", "sheet.doc"): "cannot be written as .doc",
        ("demo", "p.png", "--model", "nobody"): "no shipped checkpoint of that name",
        ("view", "missing.shc"): "missing.shc: No such file",
        ("view", "foreign.shc"): "61626364, which does not come with this version",
        ("view", "own.shc", *own, "--original", "missing.png"): "missing.png",
        ("view", "own.shc", *own, "--hierarchy", "text.txt"): "text.txt",
        ("view", "own.shc", *own, "--classifier", "nobody"): "unknown classifier",
        ("view", "torn.shc", *own): "coarse segment is damaged",
        ("classify", "missing.shc"): "missing.shc: No such file",
        ("classify", "text.txt"): "text.txt",
        ("classify", "foreign.shc"): "61626364, which does not come with this version",
        ("classify", "own.shc", *own, "--level", "finest"): "finest",
        ("classify", "own.shc", *own, "--bytes", "9"): "9 bytes cannot hold the header",
        ("classify", "own.shc", "--model", "nobody"): "no shipped checkpoint of that name",
        ("classify", "own.shc", *own, "--classifier", "nobody"): "unknown classifier",
        ("classify", "own.shc", *own, "--labels", "missing.csv"): "missing.csv",
        ("classify", "-"): "standard input: ",
    }
    told = json.loads(python("-c", PROGRAM, input=json.dumps(list(cases))).stdout)
    for (arguments, words), (code, line, loaded) in zip(cases.items(), told, strict=True):
        assert code in (1, 2) and words in line and not loaded, (arguments, code, line)
    assert not Path("p.shc").exists() and not Path("own.html").exists()
