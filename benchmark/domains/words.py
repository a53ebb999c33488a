"""Words of the embedded world: titles, authors and sentiments."""

FIRST = (
    "Amber Ancient Autumn Bitter Black Blue Brave Broken Burning Calm Clever Cold Copper Crimson Crystal Dark Distant "
    "Early Eastern Empty Endless Fallen Final First Foreign Frozen Gentle Golden Green Hidden Hollow Hungry Iron Ivory "
    "Last Little Lonely Lost Lucky Midnight Northern Patient Quiet Rising Scarlet Secret Silent Silver Sleeping "
    "Southern Stolen Strange Sunken Velvet Violet Wandering Western White Wild Winter"
).split()
"""First words of titles."""

SECOND = (
    "Anchor Arrow Ballad Bell Bridge Candle Canyon Castle Circus Compass Crown Desert Door Dream Echo Empire Falcon "
    "Feather Fire Forest Fountain Garden Gate Harbor Harvest Horizon House Island Journey Kingdom Lake Lantern Letter "
    "Lighthouse Machine Market Meadow Mirror Mountain Ocean Orchard Palace Parade Pearl Piano Planet Prairie Promise "
    "Railway River Road Shadow Signal Sparrow Station Summer Tower Valley Voyage Window"
).split()
"""Second words of titles."""

AUTHORS = "Abbott Barker Carver Dalton Ellison Fletcher Granger Hooper Ingram Jarvis Keller Lawson".split()

POSITIVE = "wonderful brilliant moving charming gripping delightful superb memorable".split()
NEGATIVE = "dreadful boring clumsy shallow tedious annoying weak forgettable".split()
