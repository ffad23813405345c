"""Speakable names for clans: an adjective and a bird, chosen by the founder's identity."""

_ADJECTIVES = tuple(
    (  # noqa: SIM905 - a block of words reads better than one word a line
        "able agile alpine amber ample ancient arctic ardent ashen astral autumn azure balmy bashful blithe bold "
        "brave breezy bright brisk bronze calm candid canny carmine cedar chalky chaste cheery chief civil clear "
        "clever coastal cobalt copper coral cosmic cosy crafty crimson crisp curious dapper daring dawn deep deft "
        "desert dewy distant dual dusky dusty eager early earnest east ebony elder elfin emerald epic even fabled "
        "fair faithful fancy fawn fearless feral fern festive fiery fine firm fleet flint fluent fond forest frank "
        "free fresh frosty gallant garnet gentle giant gifted gilded glad gleaming golden grand granite grave great "
        "green hardy hasty hazel hearty hidden hoary honest humble hushed icy idle indigo inland iron ivory jade "
        "jaunty jolly jovial keen kind lapis lasting late lavender lean lilac limber linen lithe little lively lofty "
        "lone loyal lucid lucky lunar lusty magic maple marble mellow merry mighty mild milky mindful misty modest "
        "mossy muted native navy neat nimble noble northern oaken ochre olive opal open orchid pale patient pearl "
        "pewter pine placid plain playful plucky plum polar polite prime proud prudent pure quaint quick quiet rapid "
        "rare ready regal restive rich rising robust rosy royal ruby ruddy rugged russet rustic sable saffron sage "
        "salty sandy scarlet secret sedate serene shady sharp sheer shy silent silken silver simple sincere slate "
        "sleek slender smoky snowy sober solar solemn solid southern spry stark steady steep stern still stoic stone "
        "stormy stout subtle summer sunny supple sure swift tacit tall tawny teal tender thrifty tidal tidy timber "
        "topaz tranquil true twilight umber upland urban valiant vast velvet verdant vivid wary wayward western wild "
        "willing windy winter wise witty worthy young zealous zesty"
    ).split()
)

_BIRDS = tuple(
    (  # noqa: SIM905 - as above
        "accentor albatross auk avocet babbler barbet bittern blackbird bluebird bluetail bobolink brambling "
        "brant bulbul bunting bustard buzzard canary caracara cardinal cassowary catbird chickadee chough coot "
        "cormorant corncrake cotinga coucal courser crake crane creeper crossbill crow cuckoo curlew dabchick "
        "darter dipper diver dotterel dove drongo duck dunlin dunnock eagle egret eider emu falcon fantail fieldfare "
        "finch firecrest flamingo flicker frogmouth fulmar gadwall gannet garganey godwit goldcrest goldeneye "
        "goldfinch goosander goose goshawk grebe greenfinch grosbeak grouse guan guillemot gull harrier hawk "
        "hawfinch heron hobby honeyeater hoopoe hornbill hummer ibis jabiru jacana jackdaw jay junco kagu kakapo "
        "kea kestrel killdeer kingfisher kite kittiwake kiwi knot kookaburra lapwing lark linnet loon lorikeet "
        "lyrebird macaw magpie mallard manakin martin meadowlark merganser merlin moa mockingbird moorhen motmot "
        "murre myna nightjar nightingale noddy nutcracker nuthatch oriole osprey ostrich ouzel owl oxpecker "
        "parakeet parrot partridge peacock pelican penguin peregrine petrel phalarope pheasant phoebe pigeon pintail "
        "pipit pitta plover pochard potoo prion ptarmigan puffin quail quetzal rail raven razorbill redpoll "
        "redshank redstart redwing rhea roadrunner robin roller rook rosella ruff sanderling sandpiper sapsucker "
        "scaup scoter serin shearwater shelduck shoveler shrike siskin skimmer skua skylark smew snipe "
        "sparrow spoonbill starling stilt stint stonechat stork sunbird swallow swan swift tanager tattler teal tern "
        "thrasher thrush toucan towhee treecreeper trogon turaco turnstone twite veery vireo vulture wagtail "
        "warbler waxbill waxwing weaver wheatear whimbrel whinchat whipbird wigeon willet woodcock woodlark "
        "woodpecker wren wryneck yellowhammer"
    ).split()
)

COMBINATIONS = len(_ADJECTIVES) * len(_BIRDS)
"""How many different names there are."""


def clan_name(identity_hex: str) -> str:
    """Return the name of the clan whose founder has this birth hash (at least 16 hex digits).

    Names are ASCII letters and one hyphen. Different clans may share one (about 1 pair in 60,000),
    so the founder's agent_id, never the name, is the key.
    """
    first, second = int(identity_hex[:8], 16), int(identity_hex[8:16], 16)
    return f"{_ADJECTIVES[first % len(_ADJECTIVES)]}-{_BIRDS[second % len(_BIRDS)]}"
