"""Which of WordNet's words are everyday answers, and what people say instead of the others."""

from collections.abc import Sequence

from progcodec.lab.hierarchy_build.kinds import table

AVOIDED = frozenset(
    """
    entity|physical entity|abstraction|abstract entity|object|physical object|whole|unit|artifact
    artefact|thing|matter|instrumentality|instrumentation|psychological feature|attribute
    relation|group|grouping|organism|being|causal agent|living thing|animate thing
    physical process|process|measure|cause|causal agency|substance|part|piece|portion|chordate
    vertebrate|craniate|placental|placental mammal|eutherian|eutherian mammal|commodity
    trade good|good|consumer goods|durables|durable goods|consumer durables|mechanism|system|way
    passage|surface|communication|signal|natural object|plant part|plant structure|plant organ
    reproductive structure|conveyance|transport|natural elevation|elevation|facility|installation
    creation|product|production|solid|nutriment|nourishment|nutrition|sustenance|aliment
    alimentation|victuals|diapsid|anapsid|saurian|self-propelled vehicle|craft|canid|felid|oscine
    passerine|passeriform bird|anseriform bird|chelonian|even-toed ungulate|chelonian reptile
    bovid|odd-toed ungulate|ungulate|mustelid|procyonid|percoid fish|percoid|spiny-finned fish
    teleost|acanthopterygian|teleost fish|bony fish|elasmobranch|selachian|cartilaginous fish
    chondrichthian|gallinaceous bird|proboscidean|proboscidian|platyrrhine|platyrrhinian
    catarrhine|colubrid snake|colubrid|dipterous insect|lepidopterous|arachnoid
    lepidopterous insect|lepidopteron|lepidopteran|hymenopterous insect|hymenopteran|hymenopteron
    hymenopter|orthopterous insect|orthopteron|orthopteran|homopterous insect|homopteran
    dictyopterous insect|neuropteron|neuropteran|neuropterous insect|hemipterous insect
    hemipteran|hemipteron|caudate|urodele|anuran|salientian|iguanid|iguanid lizard|anguid lizard
    lacertid lizard|lacertid|agamid|agamid lizard|teiid lizard|teiid|crocodilian reptile
    decapod crustacean|decapod|ganoid|ganoid fish|soft-finned fish|malacopterygian
    cypriniform fish|cyprinid|cyprinid fish|metatherian|prototherian|lagomorph|leporid
    leporid mammal|gnawing mammal|piciform bird|coraciiform bird|apodiform bird|gastropod
    univalve|coelenterate|cnidarian|echinoderm|ratite|ratite bird|flightless bird|column
    obstruction|obstructor|obstructer|impediment|impedimenta|ruminant|aquatic vertebrate
    domesticated animal|instrument|structural member|supporting structure|restraint|constraint
    assembly|social group|gathering|assemblage|area|region|location|enclosure|line|barrier
    opening|mechanical device|strip|support|design|pattern|figure|material|stuff|article|ware
    work|piece of work|sheet|flat solid|representation|artistic production|art|artistic creation
    event|writing|written material|document|written communication|written language
    black and white|line of defense|corvine bird|wheeled vehicle|motor vehicle|automotive vehicle
    body covering|protective covering|protective cover|protection|fish genus|edible fruit|produce
    green goods|green groceries|garden truck|starches|foodstuff|food product|tracked vehicle
    formation|arthropod|shellfish|mollusc|hoofed mammal|bovine|equine|equid|organ
    personal computer|digital computer|public toilet|memory device|storage device|peripheral
    external body part|extremity|appendage|member|building material|textile|cloth|sheath
    game equipment|stick|bar|framework|upright|vertical|rod|motion-picture show|place of worship
    house of prayer|house of god|house of worship|shaft|cord|source of illumination
    electronic device|semiconductor device|plaything|wrap|attire|overgarment|outer garment
    woman's clothing|man's clothing|shape|form|instrument of execution|timekeeper|horologe
    measuring system|measuring device|mechanical system|physical structure|white goods
    home appliance|housing|lodging|living accommodations|dwelling|home|domicile|abode
    dwelling house|habitation|hymenopterous|placoderm|hand blower|gallinacean|limicoline bird
    larid|pelecaniform seabird|procellariiform seabird|sciuromorph|cetacean mammal
    musteline mammal|musteline|canine|pinniped mammal|pinniped|viverrine|viverrine mammal
    dipteran|dipteron|two-winged insects|working dog|corvid|bovoid|artiodactyl|artiodactyl mammal
    acarine|anthozoan|actinozoan|monotreme|egg-laying mammal|sennenhunde|pinscher|anapsid reptile
    diapsid reptile|heavier-than-air craft|piece of cloth|piece of material|place of business
    business establishment|cruciferous vegetable|nonworking dog|vascular plant|tracheophyte
    geographical area|headdress|nymphalid|food fish|circle|disk|disc|plate|carnivore|game
    furnishing|establishment|equipment|gear|top|agent|fluid|liquid|drug|phasianid|odonate
    teleostan|ambystomid|ceratopsian|pachyderm|lighter-than-air craft|weight|ligament|attachment
    sandglass|connection|kit|scarabaeid beetle|lamellicorn beetle|hunting dog|domestic animal
    covering|device|component part|angiosperm|feed|outfit|vaulted|dip|telecommunication system
    correctional institution|free weight|component|constituent|floor cover|watchdog|watch dog
    guard dog|household appliance
    """.replace("\n", "|")
    .replace("    ", "")
    .split("|")
)
"""Lemmas that are no everyday answer: too abstract, too scientific, or misleading outside of
WordNet."""
EVERYDAY = {
    "anapsid reptile": "turtle", "sporting dog": "gun dog", "artiodactyl": "hoofed animal",
    "heavier-than-air craft": "aircraft", "piece of cloth": "cloth",
    "geological formation": "landform", "fabric": "cloth", "blind": "curtain",
    "aquatic bird": "water bird", "crocodilian reptile": "crocodile", "implement": "tool",
    "coin machine": "vending machine", "place of business": "shop", "headdress": "headgear",
    "cetacean": "whale", "bullterrier": "bull terrier", "acarine": "mite", "anthozoan": "coral",
    "mercantile establishment": "shop", "domestic cat": "cat", "anthropoid ape": "ape",
    "great ape": "ape", "motor car": "car", "auto": "car", "serpent": "snake", "true cat": "cat",
    "nutrient": "food", "beverage": "drink", "vesture": "clothing", "craniate": "animal",
    "gastronomy": "dish", "construction": "structure", "edifice": "building", "domestic dog": "dog",
    "seafowl": "seabird", "vesselware": "dishes", "writing implement": "pen", "firearm": "gun",
    "piece of furniture": "furniture", "footgear": "footwear", "hand tool": "tool",
    "electronic equipment": "electronics", "sports equipment": "sports gear",
    "cooking utensil": "cookware", "kitchen utensil": "kitchenware", "optical instrument": "optics",
    "toiletry": "cosmetics", "oscine bird": "songbird", "watercraft": "watercraft",
    "personal computer": "computer", "wheeled vehicle": "vehicle", "timepiece": "clock",
    "musteline mammal": "weasel", "viverrine": "mongoose", "even-toed ungulate": "hoofed animal",
    "protective garment": "protective clothing", "toilet article": "cosmetics",
}  # fmt: skip
"""A lemma of a synset, and the everyday word for it that WordNet lacks or lists under another
meaning."""

WORDS = table("""
cold-blooded animal: n02512053 n01661091 n01627424 n01905661
mammal other than a dog: n01861778 - n02084071
food, plant or fungus: n00021265 n07555863 n07881800 n00017222 n13134947 n12992868
clothing or fabric: n03051540 n03122748 n03309808 - n04105068 n03953416
vehicle or heavy machine: n03100490 n03322940 n03126707 n03240683
building, structure or landform: n04341686 n02913152 n09287968 n04105068 n03546340 n02825657
  n04562935
household object or electronics: n03405725 n02729837 n03094503 n03278248 n03196324 n04516672
  n04447443 n04263760 n03614007 n02942699 n03133538 n06263609 n03078287 - n04524313
tool, instrument or sports gear: n04451818 n03800933 n03574816 n04285146 n02778669 n03323703
  n04565375 n03563967
fly, bee or ant: n02190166 n02206526 n02219486 n02233338 n01784675
grasshopper, dragonfly or mantis: n02226183 n02231487 n02236044 n02246011 n02268148 n02264363
monkey or lemur: n02484322 n02496913
spaniel, setter or pointer: n02101108 n02100399 n02099997
spitz, sled dog, collie or corgi: n02111626 n02109811 n02109961 n02110806 n02091467 n02106030
  n02106166 n02105855 n02112826
shaggy terrier or sheepdog: n02093647 n02095314 n02095889 n02096437 n02097474 n02098105 n02098286
  n02105505 n02105641
schnauzer or bearded dog: n02096756 n02093859 n02096177 n02097298 n02105251 n02106382 n02110627
pen, brush or lighter: n03906997 n03876231 n03729826 n03666591 n04116512
coat, gown or suit: n03863923 n03450230 n04097866 n03859495 n04350905 n03763968 n04370048
  n03045698 n10148035
skirt, swimsuit or casual clothing: n04230808 n04371563 n03594734 n03595614 n03877472 n03710637
  n03188531 n02730930 n02892767
shoe, sock or mitten: n03380867 n03381126 n03775071 n03623198
bicycle, scooter or cart: n02834778 n02970849 n03484083 n03785016 n03791053 n04482393 n04509417
  n03445924 n04336792
church, castle or public building: n03953416 n02699494 n03781244 n02980441 n03877845 n04005630
  n03661043 n04417809 n03956157 n04296562
shed, tent, roof or nest: n04187547 n02793495 n03457902 n03697007 n02843684 n04105068 n03792972
  n04613696 n03042490 n03899768 n03530642 n04275548
shop or restaurant: n03748162 n04081281
bridge, pier or dam: n02898711 n03933933 n03216828 n03160309 n02894605
bucket, barrel or bin: n02747177 n02795169 n02909870 n03764736 n03991062 n04049303
bottle, cup or jug: n02876657 n02877765 n02815834 n03438257 n04183329 n03063599 n03950228
  n03603722 n04254120 n04522168 n04423845
phone, camera or audio device: n02978881 n02979186 n02988304 n04401088 n03584254 n03691459
  n03759954 n02942699 n04041544 n04392985 n03777754
heater, fan or small machine: n03271574 n03483316 n03492542 n03908714 n04009552 n04040759
  n04258138 n03508101 n03843555
coin machine or printer: n04243941 n02977058 n03425413 n03902125 n04004767 n03924679
dish, dessert or drink: n07570720 n07810907 n07881800 n07711569 - n07695965 n07871810
cabbage or artichoke: n07713395 n07718747 n07730033
squash, cucumber or pepper: n07715561 n07718472 n07720875
fruit, seed or flower: n13134947 n11669921 n07802026
""")
"""(word, synsets - without those) that WordNet lacks and people use, for whole groups."""


def everyday(lemmas: Sequence[str]) -> str | None:
    """The word that people use for a synset, or None if it has none."""
    for lemma in lemmas:
        if lemma.casefold() in EVERYDAY:
            return EVERYDAY[lemma.casefold()]
    return next((lemma for lemma in lemmas if lemma.casefold() not in AVOIDED), None)
