"""The words of the corpus `assistant`: short lists of plain English, and long lists of invented names."""

from __future__ import annotations

import re
from itertools import product

import numpy as np
from numpy.typing import NDArray

from holdfast.core.randomness import Streams

LISTED: dict[str, str] = {
    # Frequent words come first: the draw is long-tailed over the order in which they stand here.
    "HOUR": "seven six eight nine five ten twelve eleven four three two one",
    "CLOCK": "7:30 6:45 8:00 9:15 5:30 10:00 6:00 7:15 12:30 8:45 4:20 3:00 11:10 2:40 1:05",
    "MINUTE": "thirty fifteen forty-five ten twenty five fifty forty twenty-five thirty-five",
    "HALFDAY": "am pm",
    "WEEKDAY": "monday friday saturday tuesday sunday thursday wednesday",
    "DAYPART": "morning evening afternoon night",
    "MONTH": "january february march april may june july august september october november december",
    "ORDINAL": "first second third fifth tenth twelfth fourth twentieth fifteenth ninth eighteenth thirtieth",
    "COUNT": "ten five twenty two three fifteen thirty four six eight forty-five ninety twelve seven nine fifty",
    "DIGIT": "zero one two three four five six seven eight nine",
    "TIMEUNIT": "minutes hours seconds minute hour",
    "RELATION": "mum dad brother sister boss neighbour aunt landlord dentist cousin flatmate grandma uncle coach doctor",
    "GENRE": "jazz folk rock techno opera blues soul ambient metal reggae swing country gospel disco polka bluegrass chamber",
    "MOOD": "morning workout quiet rainy focus dinner sunday happy road late slow summer garden party sleepy study old",
    "PLAYLISTNOUN": "mix playlist favourites songs hits tunes collection radio beats list",
    "ADJECTIVE": (
        "long golden broken silent little blue second hollow last bright distant wild heavy early lonely paper silver empty "
        "burning gentle crooked frozen hidden northern tall velvet endless simple stolen narrow pale hungry sleeping borrowed "
        "electric tender rusty careful holy bitter secret foolish wandering sudden faithful"
    ),
    "NOUN": (
        "road home light river morning rain house heart garden fire winter letter shadow door moon call summer window stone "
        "bird train time harbour mountain song sleep bridge clock dream kitchen smoke ocean mirror room island lantern thunder "
        "weather engine market dust feather tower water list meadow signal table station number code friday engineer city "
        "sailor captain stranger painter widow orchard glass copper needle ladder candle salt ribbon wolf sparrow compass "
        "anchor furnace quarry wheel velvet echo"
    ),
    "GERUND": "waiting running calling falling leaving walking singing burning turning looking playing dancing driving dreaming counting",
    "TASKVERB": (
        "buy water clean feed return collect check renew post fix wash order pay book finish charge sign print empty measure pack"
    ),
    "THING": (
        "plants car cat parcel bike rent passport laundry bins dog milk printer library-book oven fridge boiler ticket garden- "
        "hose invoice suitcase curtains shelves guitar tyres lamp fence medicine rubbish windows camera tent roof ladder "
        "contract fish-tank piano carpet"
    ),
    "ITEM": (
        "milk eggs bread apples coffee rice butter tomatoes onions cheese bananas pasta tea sugar soap flour lentils oranges "
        "batteries salt yoghurt carrots honey candles paper mustard noodles spinach almonds vinegar ginger olives matches "
        "cloves sponge thyme parsnips chickpeas walnuts barley radishes figs leeks tinfoil turmeric"
    ),
    "LISTNAME": "shopping grocery weekend holiday party packing hardware birthday camping office pharmacy market",
    "APPLIANCE": (
        "lights lamp fan heater kettle television speaker oven blinds thermostat radio humidifier dishwasher dehumidifier projector"
    ),
    "LOCKED": "door gate safe garage alarm vault cabinet office shed locker",
    "ROOM": "kitchen bedroom bathroom hall study garage attic cellar nursery porch pantry lounge workshop",
    "COLOUR": "red blue green warm white purple amber dim",
    "EVENT": (
        "meeting lunch dinner call party lesson rehearsal checkup interview training match wedding review workshop recital picnic exam"
    ),
    "EVENTKIND": "team birthday piano dentist yoga project school choir football parents board sales chess swimming farewell budget",
    "STREETKIND": "street road lane avenue way close drive court hill row terrace square walk crescent",
    "AMOUNT": "twenty fifty ten thirty forty five sixty hundred 15 25 12 80 35 120 45 18 60 75 250 90",
    "CURRENCY": "pounds dollars euros crowns",
    "SKY": "rain snow wind sun fog frost storm hail",
    "SAY": (
        "late home early sorry here busy fine ready done outside lost tired hungry leaving cooking asleep upstairs abroad stuck "
        "waiting nearly coming fixed cancelled delayed"
    ),
    "PLACEKIND": "airport station library museum pharmacy hospital market stadium harbour bakery theatre school park pool bank",
    "CUISINE": "noodle curry pizza soup dumpling fish vegan grill tapas pancake",
}

# Invented names: how many, and the parts that they are made of. Nobody is meant; a likeness would be an accident.
_ONSETS = "bel cor dra fen gal har ith jor kel lum mir nor ost per quil rov sel tav ul ven wyn yor zan bri cal dul esk fal gri hol"
_STUTTER = re.compile(r"([aeiou])\1")
_MIDDLES = ["", "a", "e", "i", "o", "an", "el", "or", "im", "und"]
INVENTED: dict[str, tuple[int, str]] = {
    "FIRST": (1500, "da ro li na mo sie vek len ra thy wen nis lo tam"),
    "LAST": (3000, "sker brand holt mond wick thorpe gard nev lund quist ridge veld mack strom"),
    "STREET": (3000, "wold ford mere combe stead ley hurst garth dale brook fell nook gate moor"),
    "TOWN": (1500, "bury minster haven ton wich stow port cliff vale marsh burn holm"),
    "ARTISTNAME": (2000, "zo rix tane vox lore dusk nyx phon lyr tide jin kova mesh"),
    "DINER": (1500, "bello santa rique rosso numi carro tendi mossa silka vento"),
}

_AREA_CODES = [str(code) for code in range(201, 800) if code % 100 != 11]
_FICTION = range(100, 200)  # 555-0100 to 555-0199 are kept for fiction in the North American plan and are never assigned

ZIPF = {"FIRST": 0.6, "LAST": 0.5, "STREET": 0.4, "TOWN": 0.6, "ARTISTNAME": 0.6, "DINER": 0.5}
UNIFORM = frozenset({"DIGIT", "PIN", "NUMBER", "AREA", "LOCAL", "HOUSENUMBER"})


def classes() -> dict[str, list[str]]:
    """Every word class by name, its most frequent word first where the class is not drawn uniformly."""
    found = {name: text.split() for name, text in LISTED.items()}
    found |= {name: _invent(name, count, ends.split()) for name, (count, ends) in INVENTED.items()}
    found["PIN"] = [f"{pin:04d}" for pin in range(10_000)]
    found["AREA"] = _AREA_CODES
    found["LOCAL"] = [f"555-{line:04d}" for line in _FICTION]
    found["NUMBER"] = [f"{area}-555-{line:04d}" for area in _AREA_CODES for line in _FICTION]
    found["HOUSENUMBER"] = [str(number) for number in range(1, 300)]
    return found


def _invent(name: str, count: int, ends: list[str]) -> list[str]:
    """Names in an order that is the same for every seed of the corpus: another seed is another sample of one language."""
    spelt = sorted(
        {
            onset + middle + end
            for onset, middle, end in product(_ONSETS.split(), _MIDDLES, ends)
            if not _STUTTER.search(onset + middle + end)
        }
    )
    order = Streams(0).child("assistant/lexicon").generator(name).permutation(len(spelt))
    return [spelt[index] for index in order[:count]]


def weights(name: str, size: int) -> NDArray[np.float64]:
    """How often each word of a class is said, (size,), summing to 1: Zipf-like in the rank, or even."""
    exponent = 0.0 if name in UNIFORM else ZIPF.get(name, 0.6)
    raw: NDArray[np.float64] = np.arange(1, size + 1, dtype=np.float64) ** -exponent
    share: NDArray[np.float64] = raw / raw.sum()
    return share
