"""A short human name for every group: the WordNet ancestor whose classes match the group's best.

Match is F1 of the ancestor's classes against the group's, among all classes. The plain best ancestor is often a word
that nobody would answer with ("instrumentality", "eutherian"), so

- a synset is spoken of by its first everyday lemma, and one without any is no candidate;
- where one ancestor matches badly, two that share nothing may stand together: "bird & monkey";
- a name is given once, to the group that it matches best, coarser levels first.

Classes without WordNet ids name their group by the two that stand nearest to its middle.
"""

import re
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from progcodec.errors import HierarchyError
from progcodec.hierarchy import Leaf
from progcodec.wordnet import Taxonomy

PAIR_GAIN = 0.07
"""F1 that a second ancestor must add: one word reads better than two."""
PAIR_SHARE = 0.07
SMALL = 7
"""Each of two words must hold this share of the group, and two classes of a group above SMALL, to say anything."""
PAIRED = 24
"""Best single ancestors of which pairs are tried."""
ENOUGH = 0.18
"""A name that matches less than this says nothing about the group; its most central class does."""
AVOIDED = frozenset(
    """
    entity|physical entity|abstraction|abstract entity|object|physical object|whole|unit|artifact|artefact|thing
    matter|instrumentality|instrumentation|psychological feature|attribute|relation|group|grouping|organism|being
    causal agent|living thing|animate thing|physical process|process|measure|cause|causal agency|substance|part
    piece|portion|chordate|vertebrate|craniate|placental|placental mammal|eutherian|eutherian mammal|commodity
    trade good|good|consumer goods|durables|durable goods|consumer durables|device|implement|mechanism|system|way
    passage|surface|communication|signal|natural object|plant part|plant structure|plant organ
    reproductive structure|covering|conveyance|transport|natural elevation|elevation|facility|installation|creation
    product|production|solid|nutriment|nourishment|nutrition|sustenance|aliment|alimentation|victuals|diapsid
    anapsid|saurian|self-propelled vehicle|craft|canine|canid|feline|felid|oscine|oscine bird|passerine
    passeriform bird|anseriform bird|chelonian|even-toed ungulate|chelonian reptile|bovid|odd-toed ungulate|ungulate
    mustelid|procyonid|percoid fish|percoid|spiny-finned fish|teleost|acanthopterygian|teleost fish|bony fish
    elasmobranch|selachian|cartilaginous fish|chondrichthian|gallinaceous bird|proboscidean|proboscidian|platyrrhine
    platyrrhinian|catarrhine|colubrid snake|colubrid|dipterous insect|lepidopterous|arachnoid|lepidopterous insect
    lepidopteron|lepidopteran|hymenopterous insect|hymenopteran|hymenopteron|hymenopter|orthopterous insect
    orthopteron|orthopteran|homopterous insect|homopteran|dictyopterous insect|neuropteron|neuropteran
    neuropterous insect|hemipterous insect|hemipteran|hemipteron|caudate|urodele|anuran|salientian|iguanid
    iguanid lizard|anguid lizard|lacertid lizard|lacertid|agamid|agamid lizard|teiid lizard|teiid
    crocodilian reptile|decapod crustacean|decapod|ganoid|ganoid fish|soft-finned fish|malacopterygian
    cypriniform fish|cyprinid|cyprinid fish|metatherian|prototherian|lagomorph|leporid|leporid mammal|gnawing mammal
    piciform bird|coraciiform bird|apodiform bird|gastropod|univalve|coelenterate|cnidarian|echinoderm|ratite
    ratite bird|flightless bird|column|obstruction|obstructor|obstructer|impediment|impedimenta|ruminant
    aquatic vertebrate|domestic animal|domesticated animal|instrument|structural member|supporting structure
    restraint|constraint|assembly|social group|gathering|assemblage|area|region|location|enclosure|line|barrier
    opening|mechanical device|strip|support|design|pattern|figure|fabric|material|stuff|article|ware|work
    piece of work|sheet|flat solid|representation|artistic production|art|artistic creation|event|writing
    written material|document|written communication|written language|black and white|line of defense|corvine bird
    wheeled vehicle|motor vehicle|automotive vehicle|body covering|protective covering|protective cover|protection
    fish genus|edible fruit|produce|green goods|green groceries|garden truck|starches|foodstuff|food product
    tracked vehicle|geological formation|formation|arthropod|crustacean|shellfish|mollusk|mollusc|hoofed mammal
    bovine|equine|equid|organ|public transport|personal computer|digital computer|public toilet|memory device
    storage device|peripheral|external body part|extremity|appendage|member|building material|paper|textile|cloth
    sheath|game equipment|stick|bar|framework|upright|vertical|rod|motion-picture show|place of worship
    house of prayer|house of god|house of worship|shaft|cord|source of illumination|electronic device
    semiconductor device|plaything|wrap|attire|overgarment|outer garment|woman's clothing|man's clothing|garment
    shape|form|instrument of execution|timepiece|timekeeper|horologe|measuring instrument|measuring system
    measuring device|mechanical system|aquatic mammal|physical structure|white goods|home appliance
    household appliance|housing|lodging|living accommodations|dwelling|home|domicile|abode|dwelling house|habitation
    hymenopterous|placoderm|hand blower|gallinacean|limicoline bird|larid|pelecaniform seabird
    procellariiform seabird|sciuromorph|cetacean mammal|musteline mammal|musteline|pinniped mammal|pinniped
    viverrine|viverrine mammal|dipteran|dipteron|two-winged insects|working dog|corvid|bovoid|artiodactyl
    artiodactyl mammal|acarine|anthozoan|actinozoan|monotreme|egg-laying mammal|sennenhunde|pinscher|anapsid reptile
    diapsid reptile|heavier-than-air craft|piece of cloth|piece of material|place of business|business establishment
    cruciferous vegetable|sporting dog|gun dog|nonworking dog|vascular plant|tracheophyte|geographical area
    headdress|headgear|nymphalid|food fish|circle|disk|disc|plate
    """.replace("\n", "|").replace("    ", "").split("|")
)
"""Lemmas that are no everyday answer: too abstract, too scientific, or misleading outside of WordNet."""
EVERYDAY = {
    "anapsid reptile": "turtle", "sporting dog": "gun dog", "artiodactyl": "hoofed animal",
    "heavier-than-air craft": "aircraft", "piece of cloth": "cloth", "place of business": "shop",
    "headdress": "headgear", "cetacean": "whale", "bullterrier": "bull terrier", "acarine": "mite",
    "anthozoan": "coral", "mercantile establishment": "shop", "domestic cat": "cat", "anthropoid ape": "ape",
    "great ape": "ape", "motor car": "car", "auto": "car", "serpent": "snake", "true cat": "cat", "nutrient": "food",
    "beverage": "drink", "vesture": "clothing", "craniate": "animal", "gastronomy": "dish",
    "construction": "structure", "edifice": "building", "domestic dog": "dog", "hosiery": "socks & tights",
    "seafowl": "seabird", "vesselware": "dishes", "writing implement": "pen", "firearm": "gun",
    "piece of furniture": "furniture", "footgear": "footwear", "hand tool": "tool",
    "electronic equipment": "electronics", "sports equipment": "sports gear", "cooking utensil": "cookware",
    "kitchen utensil": "kitchenware", "optical instrument": "optics", "toiletry": "cosmetics",
}  # fmt: skip
"""A lemma of a synset, and the everyday word for it that WordNet lacks or lists under another meaning."""


def names(
    levels: Sequence[np.ndarray], rows: np.ndarray, classes: Sequence[Leaf], taxonomy: Taxonomy | None
) -> list[list[tuple[str, float]]]:
    """(name, F1) of every group, level by level; F1 is 0 for a name that is not from WordNet.

    `levels` are group numbers of each class, coarsest first, `rows` the unit embeddings. With a taxonomy every class
    must have a WordNet id.
    """
    words, table = _vocabulary(classes, taxonomy) if taxonomy else ([], np.zeros((0, len(classes)), dtype=bool))
    taken: set[str] = set()
    named: list[list[tuple[str, float]]] = []
    for labels in levels:
        wanted = []
        for group in range(labels.max() + 1):
            inside = labels == group
            wanted += [(score, group, name) for score, name in _candidates(inside, words, table)]
            wanted += [(place * 1e-6, group, name) for place, name in _central(inside, rows, classes)]
        level: dict[int, tuple[str, float]] = {}
        for score, group, name in sorted(wanted, key=lambda row: (-row[0], row[1], row[2])):
            if group not in level and name.casefold() not in taken:
                level[group] = name, score if score > 1e-3 else 0.0
                taken.add(name.casefold())
        if len(level) <= labels.max():
            raise HierarchyError("the classes have too few different names to name their groups")
        named.append([level[group] for group in range(labels.max() + 1)])
    return named


def _vocabulary(classes: Sequence[Leaf], taxonomy: Taxonomy) -> tuple[list[str], np.ndarray]:
    """Words, and for each the classes that it holds: (words, classes) bool. Synsets of the same word are joined."""
    own = {leaf.wnid: _bare(leaf.name) for leaf in classes}
    held: dict[str, np.ndarray] = {}
    for index, leaf in enumerate(classes):
        if leaf.wnid is None:
            raise HierarchyError(f"{leaf.name!r} has no WordNet id")
        for wnid in taxonomy.above(leaf.wnid):
            word = own.get(wnid) or _everyday(taxonomy.synsets[wnid].lemmas)
            if word:
                held.setdefault(word, np.zeros(len(classes), dtype=bool))[index] = True
    return list(held), np.array(list(held.values()))


def _everyday(lemmas: Sequence[str]) -> str | None:
    for lemma in lemmas:
        if lemma.casefold() in EVERYDAY:
            return EVERYDAY[lemma.casefold()]
    for lemma in lemmas:
        if lemma.casefold() not in AVOIDED:
            return lemma
    return None


def _candidates(inside: np.ndarray, words: list[str], table: np.ndarray) -> list[tuple[float, str]]:
    """(F1, name) of single words and, where two do clearly better, of pairs; those that match at all."""
    if not words:
        return []
    hits = (table & inside).sum(axis=1)
    held = table.sum(axis=1)
    single = 2 * hits / (held + inside.sum())
    order = [int(i) for i in np.lexsort((np.arange(len(words)), -single)) if single[i] >= ENOUGH / 2]
    found = [(float(single[i]), words[i]) for i in order if single[i] >= ENOUGH]
    least = max(PAIR_SHARE * inside.sum(), 2 if inside.sum() > SMALL else 1)
    for first, second in combinations(order[:PAIRED], 2):
        if min(hits[first], hits[second]) < least or (table[first] & table[second]).any():
            continue
        both = 2 * (hits[first] + hits[second]) / (held[first] + held[second] + inside.sum())
        if both - max(single[first], single[second]) >= PAIR_GAIN and both >= ENOUGH:
            larger, smaller = (first, second) if hits[first] >= hits[second] else (second, first)
            if "&" not in words[larger] + words[smaller]:
                found.append((float(both - PAIR_GAIN), f"{words[larger]} & {words[smaller]}"))
    return found


def _central(inside: np.ndarray, rows: np.ndarray, classes: Sequence[Leaf]) -> list[tuple[float, str]]:
    """Names from the classes nearest to the middle of the group, each with a score that orders them."""
    members = np.flatnonzero(inside)
    near = rows[members] @ rows[members].mean(axis=0)
    order = [_bare(classes[members[i]].name) for i in np.lexsort((members, -near))]
    pairs = [f"{order[0]} & {other}" for other in order[1:] if other != order[0]]
    found = pairs + [f"{name} group" for name in order] if len(order) > 1 else order + [f"{order[0]} group"]
    return [(len(found) - place, name) for place, name in enumerate(found)]


def _bare(name: str) -> str:
    """Without brackets and alternatives: "kite (bird of prey)" is "kite", "swim trunks / shorts" is "swim trunks"."""
    return re.split(r"\(| / | or ", name)[0].strip() or name
