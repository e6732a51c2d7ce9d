"""What WordNet forbids and asks of the first level of groups.

Text embeddings know which words go together, not what a thing is: a Persian cat stands among dogs,
a piano among vehicles ("grand"), a toilet seat among dishes ("bowl"). So two rules of constrained
k-means (Wagstaff et al. 2001) hold there:

- realms stay apart: no group holds classes of two realms, such as dogs and cats, or food and lamps;
- kinds stay together: all musical instruments, say, are in one group, wherever the embeddings put
  it.

A class that no row below holds is free within its realm.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from progcodec.arrays import Floats, Ints
from progcodec.hierarchy.wordnet import Taxonomy


def table(text: str) -> tuple[tuple[str, str], ...]:
    """The rows of lines ``word: synset ids``; an indented line goes on with the one above it."""
    rows = text.replace("\n  ", " ").splitlines()
    parts = (row.partition(": ") for row in rows if row and not row.startswith("#"))
    return tuple((word, ids) for word, _, ids in parts)


def holds(ids: str, above: Mapping[str, int]) -> bool:
    """Whether one of the synsets stands above a class, and none of those after a "-"."""
    wanted, _, unwanted = ids.partition(" - ")
    keys = above.keys()
    return not keys.isdisjoint(wanted.split()) and keys.isdisjoint(unwanted.split())


THINGS = "things", "things"
REALMS: tuple[tuple[str, str, str], ...] = (
    ("animals", "dogs", "n02084071"),
    ("animals", "other mammals", "n01861778"),
    ("animals", "birds", "n01503061"),
    ("animals", "other animals", "n00015388"),
    # food: nutrient, solid food, drink; plant, fruit (the organ), fungus
    ("plants", "plants", "n00021265 n07555863 n07881800 n00017222 n13134947 n12992868"),
)
"""(wide realm, realm, synsets); a class belongs to the first that stands above it, or to the
things."""
KINDS = table("""
# print media, ring binder, envelope, packet, website, puzzle, menu, dust jacket, home theater
household object: n06263609 n02840245 n03291819 n03871628 n06359193 n04028315 n07565083 n07248320
  n03529860
weapon: n04565375
# and its parts
vehicle: n03100490 n02974003 n03208938 n02965783 n04592741 n04162706 n03459775
# building, shop, bridge, landform, barrier, roof, housing, monument, tower; sign, manhole cover
place: n02913152 n03297735 n02898711 n09287968 n02796623 n04105068 n03546340 n03743902 n03953416
  n02892201 n03903868 n02843684 n04562935 n06793231 n06791372 n03717622 n04149813 n03733281
  n04044716 n04275548
# and footwear, armor, bridegroom
clothing: n03051540 n03380867 n03381126 n02739668 n02740764 n10148035 n03803284
# and plectrum, drumstick, whistle
musical instrument: n03800933 n03929660 n03250847 n04579432
# and baseball player, scuba diver
sports gear: n04285146 n02778669 n09835506 n10565667 n04251144 n04228054 n04039381 n04019541
  n04067472
# furniture, lamp, toy, appliance, heater, fan, cosmetics
household object: n03405725 n03961711 n03982430 n04263760 n03637318 n04399382 n03944341 n09229709
  n04258138 n02729837 n03271574 n03508101 n04447443
# electronics, computer, keyboard, camera, radio, television, projector, printer
household object: n03278248 n03196324 n03614007 n02942699 n03277771 n03078287 n03492542 n04009552
  n02978881 n03759954 n04074963 n04264628 n03924679
# kitchen utensil, container, dish, tool kit, coin machine
household object: n04516672 n03094503 n03133538 n04381994 n02877765 n04332243 n02966687 n03825788
  n04243941 n02977058 n03425413 n03902125
tool: n04451818 n03467068 n03794056 n04277352 n03992509
measuring instrument: n03733925 n02666196 n04238763
fastener: n03323703
cloth: n03309808
""")
"""(kind, synsets or classes) of things that stay together in the first level; a class belongs to
the first that stands above it. A kind may stand in several lines."""
FAMILIES = table("""
fish: n02512053
amphibian: n01627424
turtle: n01662784
lizard or crocodile: n01674464 n01696633 n01704323
snake: n01726692
arachnid: n01769347
crab or lobster: n01974773
beetle: n02164464
butterfly: n02274259
snail, worm or sea animal: n01909422 n02316707 n01940736 n01768244 n01922303
bird of prey: n01604330
parrot or toucan: n01816887 n01825930 n01838038 n01833805 n01824575
songbird: n01524359
game bird or chicken: n02153203 n01514668 n01514859
shorebird: n02022684
heron or stork: n02008041 n02002075 n02006656 n02009912 n02013706
duck, goose or swan: n01845132 n01860187
seabird: n02021795
aquatic mammal: n02062017
elephant: n01871265 n02503517
marsupial or monotreme: n01874434 n01871875
hoofed animal: n02370806
wolf, fox or wild dog: n02114100 n02115335 n02118333 n02117135
feline: n02120997
bear or panda: n02131653 n02507649
weasel or mongoose: n02441326 n02134971
rodent or rabbit: n02329401 n02323902
monkey: n02484322
ape: n02470325
lemur: n02496913
toy dog: n02085374 n02110958
mastiff or mountain dog: n02107420 n02109525 n02111129 n02111277 n02111500 n02108551 n02108422
  n02109047 n02104029
bulldog or bull terrier: n02093056 n02108089 n02096585 n02108915
spaniel: n02101108
retriever: n02099029
setter: n02100399
schnauzer: n02096756
poodle: n02113335
spitz or sled dog: n02111626 n02109811 n02109961 n02110806 n02091467
sighthound: n02088094 n02090622 n02090721 n02090827 n02091244 n02091831 n02092002
scent hound: n02088238 n02088364 n02088466 n02088632 n02089078 n02089555 n02090379
mushroom or fungus: n12992868 n07734744
fruit: n07705931
flower or grain: n11669921 n13135832 n13133613 n07802026
bread: n07679356 n07860988
drink: n07881800
dessert: n07609840
shop: n03748162
landform: n09287968
fence or gate: n03327234 n03795580
bridge: n02898711
monument or tower: n03743902 n03837869 n04458633 n03903868 n02814860 n02825657 n04562935 n04044716
sign or street fixture: n06793231 n06791372 n03717622 n04149813
barn or shed: n04187547 n02793495 n03457902 n03697007 n03530642 n02843684
church, temple or monastery: n03953416 n02699494 n03781244
theater: n03032252 n04296562 n03956157
boat or ship: n04530566
aircraft: n02686568 n04266014
train: n02917067 n03684823 n02959942 n04335435
bus: n02924116
car: n02958343 n03444034
truck: n04490091
cart: n02970849 n03484083 n04336792
sled or snow vehicle: n04235291 n04252077 n04252225
vehicle part: n02974003 n03208938 n02965783 n04592741 n04162706 n03459775 n03874293
tractor or heavy machine: n03322940 n03126707 n03240683 n04465501 n03384352
wind instrument: n04586932 n04579432
stringed instrument: n04338517 n03929660
drum or bell: n03915437 n03250847
clock or gauge: n03733925 n02666196 n04238763
weapon: n04565375
gym equipment: n03472232 n04571292 n04371774
ball: n02778669
pole or stand: n03355925 n03733131 n03976657 n04485082
sports gear or athlete: n09835506 n10565667 n04251144 n04228054 n04039381 n04019541 n04067472
pen: n03906997
tool: n04451818 n03467068 n03794056 n04277352 n03992509
fastener: n03323703
medical device: n03739693 n03868863 n02786058
glasses or lens: n03852280 n03692522 n04355933 n04356056 n03657121
bathroom fixture: n02808440 n04493381 n04553703 n04447861
computer or screen: n03196324 n03614007 n03793489 n03782006 n04152593 n04264628 n04404412
  n03529860
coin machine: n04243941 n02977058 n03425413 n03902125
lamp: n04263760 n04380533 n03637318
cosmetics: n04447443
reading matter or toy: n06263609 n02840245 n06359193 n04028315 n07565083 n07248320 n04399382
  n03944341 n09229709 n03825788
bottle: n02876657 n02877765
cookware: n04516672 n03259280 n04332243
dish or tray: n03206908 n04476259
kitchen appliance: n03620052
box: n02883344 n02966687
bag: n02773037
bed: n02766320 n03388549
table: n04379243 n03201208
seat: n04161981
armor or holster: n02739668 n02895154 n04187061
headgear: n03502509 n03929855
mask or muzzle: n03725035 n03724870 n03803284
footwear: n03380867
suit or gown: n04350905 n03450230 n10148035
curtain or screen: n02851099 n04151581
skirt: n04230808
swimsuit or underwear: n04371563 n02892767 n03188531
cloth, rug or bedding: n03309808 n03366823 n03938244 n04033995 n15075141
tie, scarf or necklace: n03816005 n03814906 n04143897
""")
"""(word, synsets or classes) of what people see as one: it stays together below the first level,
and in the first where it is of no kind. A class belongs to the first that stands above it. The
words join WordNet's where groups are named (naming.py)."""
MISREAD = {"n07565083": THINGS, "n07930864": THINGS}
"""Classes with the synset of another meaning of their word, and their true realm: menu (fare), tea
cup (punch)."""


class Facts(NamedTuple):
    """What the clustering may know about n classes beside their embeddings."""

    realms: tuple[Ints, ...]
    """(n,) realm numbers, the finest division first; a division into more realms than groups is
    passed over."""
    kinds: tuple[Ints, Ints]
    """(n,) numbers of what stays together in the first level, and below; a class of no kind has one
    of its own."""
    rows: Floats
    """(n, d) coordinates in which classes near in WordNet are near."""


def facts(wnids: Sequence[str], taxonomy: Taxonomy) -> Facts:
    """Raises HierarchyError for an id that the taxonomy does not know."""
    realms: list[tuple[str, str]] = []
    kinds: list[object] = []
    families: list[object] = []
    for wnid in wnids:
        above = taxonomy.above(wnid)
        wide, realm = next(
            ((wide, realm) for wide, realm, ids in REALMS if holds(ids, above)), THINGS
        )
        if wnid in MISREAD:
            wide, realm = MISREAD[wnid]
        realms.append((wide, realm))
        family = next((name for name, ids in FAMILIES if holds(ids, above)), wnid)
        families.append((realm, family))
        kind = next((name for name, ids in KINDS if holds(ids, above)), None)
        bound = kind is not None and realm == THINGS[1]
        kinds.append(kind if bound else (realm, family))
    wide_realms = [wide for wide, _ in realms]
    return Facts(
        (_numbers(realms), _numbers(wide_realms)),
        (_numbers(kinds), _numbers(families)),
        taxonomy.wu_palmer(wnids),
    )


def _numbers(values: Sequence[object]) -> Ints:
    """Equal values by equal numbers, counted in the order in which they appear."""
    order = {value: number for number, value in enumerate(dict.fromkeys(values))}
    return np.array([order[value] for value in values])
