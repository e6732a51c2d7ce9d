"""What a hierarchy is built from: a list of classes, and an embedding for each."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from progcodec.arrays import Floats
from progcodec.errors import HierarchyError
from progcodec.files import text_of
from progcodec.hierarchy.hierarchy import Leaf
from progcodec.lab.extras import extra

TEMPLATE = "a photo of a {}"
BATCH = 256


def read_classes(path: str | Path) -> list[Leaf]:
    """Classes of a CSV file without a heading: ``name`` or ``name,wnid`` a line; ids for all of
    them or for none."""
    try:
        text = io.StringIO(text_of(Path(path).read_bytes()), newline="")
        if "\0" in text.getvalue():
            raise csv.Error("it holds bytes that are no text")
        rows = [
            [cell.strip() for cell in row]
            for row in csv.reader(text)
            if any(cell.strip() for cell in row)
        ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise HierarchyError(f"{path} is no list of classes: {error}") from error
    for row in rows:
        if len(row) > 2 or not row[0]:
            raise HierarchyError(f"{path}: {','.join(row)!r} is not NAME or NAME,WNID")
    classes = [Leaf(row[0], row[1] if len(row) == 2 and row[1] else None, 0) for row in rows]
    if not classes:
        raise HierarchyError(f"{path} lists no classes")
    ids = [leaf.wnid for leaf in classes if leaf.wnid]
    if ids and (len(ids) < len(classes) or len(set(ids)) < len(ids)):
        raise HierarchyError(f"{path}: WordNet ids must stand at every class or at none, each once")
    return classes


def read_embeddings(path: str | Path, classes: int) -> Floats:
    """(classes, d) of an .npy file, in the order of the classes."""
    try:
        rows = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise HierarchyError(f"{path} is no .npy file of numbers") from error
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or len(rows) != classes:
        raise HierarchyError(f"{path} must hold one row for each of the {classes} classes")
    return rows


def clip_embeddings(
    names: Sequence[str], model: str, pretrained: str | None, templates: Sequence[str]
) -> Floats:
    """(names, d) unit rows: the mean over the templates of CLIP's text embeddings, through
    open_clip, on the CPU.

    `pretrained` is one of open_clip's tags, which it downloads, or a file; None leaves the weights
    random.
    """
    for template in templates:
        if "{}" not in template:
            raise HierarchyError(f"the template {template!r} has no {{}} for the class name")
    with extra("hierarchy", "--clip"):
        import open_clip
        import torch
    try:
        network = open_clip.create_model(model, pretrained=pretrained).eval()
        tokenizer = open_clip.get_tokenizer(model)
    # open_clip and its download clients raise a dozen classes without a common base
    except Exception as error:
        raise HierarchyError(
            f"cannot load CLIP {model} ({pretrained}): {str(error).splitlines()[0]}"
        ) from error
    total: Any = 0
    with torch.inference_mode():
        for template in templates:
            texts = [template.replace("{}", name) for name in names]
            parts = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
            rows = torch.cat([network.encode_text(tokenizer(part)) for part in parts]).double()
            total = total + rows / rows.norm(dim=1, keepdim=True)
    rows_of_all: Floats = (total / total.norm(dim=1, keepdim=True)).numpy()
    return rows_of_all
