"""Which of WordNet's words are everyday answers, and what people say instead of the others."""

from collections.abc import Mapping, Sequence

from progcodec.lab.hierarchy_build.kinds import VOCABULARY, table

AVOIDED = frozenset(VOCABULARY["avoided"].replace("\n", "|").split("|"))
EVERYDAY: Mapping[str, str] = VOCABULARY["everyday"]
WORDS = table(VOCABULARY["words"])


def everyday(lemmas: Sequence[str]) -> str | None:
    """The word that people use for a synset, or None if it has none."""
    for lemma in lemmas:
        if lemma.casefold() in EVERYDAY:
            return EVERYDAY[lemma.casefold()]
    return next((lemma for lemma in lemmas if lemma.casefold() not in AVOIDED), None)
