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
            own, other = (f"{c['plain']:.3f}, centred {c['centred']:.3f}" for c in (ours, alone))
            lines.append(f"mean cosine to the group's middle: {own}; embeddings alone {other}")
    paper = {"clip": "paper, CLIP K=10", "wordnet_depth_cut": "paper, WordNet depth cut"}
    for key, label in paper.items():
        part = quality["paper"][key]
        wup = f"{number(part['intra'])}  {number(part['inter'])}"
        lines.append(f"{label:<26}{'':>6}  {'':>7}  {'':>12}  {wup}")
    seeds = f"between {quality['stability_seeds']} seeds, mean of all pairs"
    return [
        *lines,
        "intra, inter: mean Wu-Palmer similarity of two classes in one group, in two groups",
        f"ARI: adjusted Rand index {seeds} (1: always the same groups)",
    ]
