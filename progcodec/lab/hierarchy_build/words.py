"""Which of WordNet's words are everyday answers, and what people say instead of the others."""

from collections.abc import Sequence

AVOIDED = frozenset(
    """
    entity|physical entity|abstraction|abstract entity|object|physical object|whole|unit|artifact|artefact
    thing|matter|instrumentality|instrumentation|psychological feature|attribute|relation|group|grouping
    organism|being|causal agent|living thing|animate thing|physical process|process|measure|cause
    causal agency|substance|part|piece|portion|chordate|vertebrate|craniate|placental|placental mammal
    eutherian|eutherian mammal|commodity|trade good|good|consumer goods|durables|durable goods
    consumer durables|mechanism|system|way|passage|surface|communication|signal|natural object
    plant part|plant structure|plant organ|reproductive structure|conveyance|transport|natural elevation
    elevation|facility|installation|creation|product|production|solid|nutriment|nourishment|nutrition
    sustenance|aliment|alimentation|victuals|diapsid|anapsid|saurian|self-propelled vehicle|craft|canid
    felid|oscine|passerine|passeriform bird|anseriform bird|chelonian|even-toed ungulate|chelonian reptile
    bovid|odd-toed ungulate|ungulate|mustelid|procyonid|percoid fish|percoid|spiny-finned fish|teleost
    acanthopterygian|teleost fish|bony fish|elasmobranch|selachian|cartilaginous fish|chondrichthian
    gallinaceous bird|proboscidean|proboscidian|platyrrhine|platyrrhinian|catarrhine|colubrid snake|colubrid
    dipterous insect|lepidopterous|arachnoid|lepidopterous insect|lepidopteron|lepidopteran
    hymenopterous insect|hymenopteran|hymenopteron|hymenopter|orthopterous insect|orthopteron|orthopteran
    homopterous insect|homopteran|dictyopterous insect|neuropteron|neuropteran|neuropterous insect
    hemipterous insect|hemipteran|hemipteron|caudate|urodele|anuran|salientian|iguanid|iguanid lizard
    anguid lizard|lacertid lizard|lacertid|agamid|agamid lizard|teiid lizard|teiid|crocodilian reptile
    decapod crustacean|decapod|ganoid|ganoid fish|soft-finned fish|malacopterygian|cypriniform fish|cyprinid
    cyprinid fish|metatherian|prototherian|lagomorph|leporid|leporid mammal|gnawing mammal|piciform bird
    coraciiform bird|apodiform bird|gastropod|univalve|coelenterate|cnidarian|echinoderm|ratite|ratite bird
    flightless bird|column|obstruction|obstructor|obstructer|impediment|impedimenta|ruminant
    aquatic vertebrate|domesticated animal|instrument|structural member|supporting structure|restraint
    constraint|assembly|social group|gathering|assemblage|area|region|location|enclosure|line|barrier
    opening|mechanical device|strip|support|design|pattern|figure|material|stuff|article|ware|work
    piece of work|sheet|flat solid|representation|artistic production|art|artistic creation|event|writing
    written material|document|written communication|written language|black and white|line of defense
    corvine bird|wheeled vehicle|motor vehicle|automotive vehicle|body covering|protective covering
    protective cover|protection|fish genus|edible fruit|produce|green goods|green groceries|garden truck
    starches|foodstuff|food product|tracked vehicle|formation|arthropod|shellfish|mollusc|hoofed mammal
    bovine|equine|equid|organ|personal computer|digital computer|public toilet|memory device|storage device
    peripheral|external body part|extremity|appendage|member|building material|textile|cloth|sheath
    game equipment|stick|bar|framework|upright|vertical|rod|motion-picture show|place of worship
    house of prayer|house of god|house of worship|shaft|cord|source of illumination|electronic device
    semiconductor device|plaything|wrap|attire|overgarment|outer garment|woman's clothing|man's clothing
    shape|form|instrument of execution|timekeeper|horologe|measuring system|measuring device
    mechanical system|physical structure|white goods|home appliance|housing|lodging|living accommodations
    dwelling|home|domicile|abode|dwelling house|habitation|hymenopterous|placoderm|hand blower|gallinacean
    limicoline bird|larid|pelecaniform seabird|procellariiform seabird|sciuromorph|cetacean mammal
    musteline mammal|musteline|pinniped mammal|pinniped|viverrine|viverrine mammal|dipteran|dipteron|two-winged insects
    working dog|corvid|bovoid|artiodactyl|artiodactyl mammal|acarine|anthozoan|actinozoan
    monotreme|egg-laying mammal|sennenhunde|pinscher|anapsid reptile|diapsid reptile|heavier-than-air craft
    piece of cloth|piece of material|place of business|business establishment|cruciferous vegetable
    nonworking dog|vascular plant|tracheophyte|geographical area|headdress|nymphalid|food fish|circle|disk
    disc|plate|carnivore|game|furnishing|establishment|equipment|gear|top|agent|fluid|liquid|drug
    phasianid|odonate|teleostan|ambystomid|ceratopsian|pachyderm|lighter-than-air craft|weight|ligament
    attachment|sandglass|connection|kit|scarabaeid beetle|lamellicorn beetle|hunting dog
    domestic animal|covering|device|component part|angiosperm|feed|outfit|vaulted|dip|telecommunication system
    correctional institution|free weight|component|constituent|floor cover|watchdog|watch dog|guard dog|household appliance
    """.replace("\n", "|")
    .replace("    ", "")
    .split("|")
)
"""Lemmas that are no everyday answer: too abstract, too scientific, or misleading outside of WordNet."""
EVERYDAY = {
    "anapsid reptile": "turtle", "sporting dog": "gun dog", "artiodactyl": "hoofed animal",
    "heavier-than-air craft": "aircraft", "piece of cloth": "cloth", "geological formation": "landform",
    "fabric": "cloth", "blind": "curtain", "aquatic bird": "water bird",
    "crocodilian reptile": "crocodile", "implement": "tool", "coin machine": "vending machine", "place of business": "shop",
    "headdress": "headgear", "cetacean": "whale", "bullterrier": "bull terrier", "acarine": "mite",
    "anthozoan": "coral", "mercantile establishment": "shop", "domestic cat": "cat", "anthropoid ape": "ape",
    "great ape": "ape", "motor car": "car", "auto": "car", "serpent": "snake", "true cat": "cat",
    "nutrient": "food", "beverage": "drink", "vesture": "clothing", "craniate": "animal", "gastronomy": "dish",
    "construction": "structure", "edifice": "building", "domestic dog": "dog",
    "seafowl": "seabird", "vesselware": "dishes", "writing implement": "pen", "firearm": "gun",
    "piece of furniture": "furniture", "footgear": "footwear", "hand tool": "tool",
    "electronic equipment": "electronics", "sports equipment": "sports gear", "cooking utensil": "cookware",
    "kitchen utensil": "kitchenware", "optical instrument": "optics", "toiletry": "cosmetics",
    "oscine bird": "songbird", "watercraft": "watercraft", "personal computer": "computer", "wheeled vehicle": "vehicle",
    "timepiece": "clock", "musteline mammal": "weasel", "viverrine": "mongoose",
    "even-toed ungulate": "hoofed animal", "protective garment": "protective clothing",
    "toilet article": "cosmetics",
}  # fmt: skip
"""A lemma of a synset, and the everyday word for it that WordNet lacks or lists under another meaning."""


def everyday(lemmas: Sequence[str]) -> str | None:
    """The word that people use for a synset, or None if it has none."""
    for lemma in lemmas:
        if lemma.casefold() in EVERYDAY:
            return EVERYDAY[lemma.casefold()]
    return next((lemma for lemma in lemmas if lemma.casefold() not in AVOIDED), None)
