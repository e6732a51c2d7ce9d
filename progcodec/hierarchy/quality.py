"""How good the groups of a hierarchy are, as its file says, to read."""

from typing import Any


def table(quality: dict[str, Any]) -> list[str]:
    """The stored numbers as lines to read."""

    def number(value: float | None) -> str:
        return f"{value:6.3f}" if value is not None else "     –"

    lines = [
        f"{'':<26}{'groups':>6}  {'largest':>7}  {'entropy':>12}  "
        + "  ".join(f"{name:>6}" for name in ("intra", "inter", "ARI"))
    ]
    for row in quality["levels"]:
        for key, label in (
            ("clusters", f"this, K={row['size']}"),
            ("embeddings_alone", "embeddings alone"),
            ("wordnet_depth_cut", "WordNet depth cut"),
        ):
            if (part := row.get(key)) is None:
                continue
            entropy = f"{part['entropy_bits']:.2f} of {part['entropy_max_bits']:.2f}"
            wup = "  ".join(number(part.get(name)) for name in ("intra", "inter"))
            rand = number(row["stability"]["mean"]) if key == "clusters" else ""
            share = f"{part['largest_share']:.1%}"
            lines.append(
                f"{label:<26}{part['groups']:>6}  {share:>7}  {entropy:>12}  {wup}  {rand}".rstrip()
            )
        if "cosine_embeddings_alone" in row:
            ours, alone = row["cosine"], row["cosine_embeddings_alone"]
            lines.append(
                f"mean cosine to the group's middle: {ours['plain']:.3f}, "
                f"centred {ours['centred']:.3f}; embeddings alone {alone['plain']:.3f}, centred "
                f"{alone['centred']:.3f}"
            )
    for key, label in (
        ("clip", "paper, CLIP K=10"),
        ("wordnet_depth_cut", "paper, WordNet depth cut"),
    ):
        part = quality["paper"][key]
        lines.append(
            f"{label:<26}{'':>6}  {'':>7}  {'':>12}  {number(part['intra'])}  "
            f"{number(part['inter'])}"
        )
    lines.append(
        "intra, inter: mean Wu-Palmer similarity of two classes in one group, in two groups"
    )
    seeds = quality["stability_seeds"]
    lines.append(
        f"ARI: adjusted Rand index between {seeds} seeds, mean of all pairs (1: always the same "
        "groups)"
    )
    return lines
