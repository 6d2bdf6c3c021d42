"""What a headline says: its tone by a short lexicon, and which coins it names.

A general sentiment library finds "hack", "outflows" and "approval" neutral and brings more
dependencies than this whole feed; these words can be read and argued with. Tone is
s / sqrt(s^2 + 2) of the summed weights s (the normalisation of VADER, Hutto and Gilbert 2014, for
weights of 1 and 2); a negation among the three words before turns a weight round.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from math import sqrt

# `*` any ending, `.` a space or a hyphen or nothing.
_STRONG_UP = """
surg* soar* skyrocket* rally* rallie* breakout* bullish bull.run* bull.market* all.time.high*
record.high* record.inflow* short.squeeze* approv* greenlight* rate.cut* outperform*
"""
_UP = """
gain* rise rises rising rose climb* jump* rebound* recover* advanc* boost* optimistic upgrad*
adopt* accumulat* inflow* partner* integrat* launch* milestone* profit* beat beats growth win wins
won victor* dismiss* legali* expand* expansion raise* raising upside bounc* golden.cross new.high*
reclaim* tops topped cooling.inflation shorts.liquidated buy buys buying bought
"""
_DOWN = """
fall* fell drop* dip dips dipped slip* slide* sliding slid declin* lose loses losing loss* lost
retreat* weak* outflow* fear* concern* worr* risk* warn* uncertain* delay* postpon* lawsuit* sue
sues sued suing prob* investigat* charge* accus* alleg* fined fines penalt* ban bans banned banning
restrict* outage* halt* suspen* delist* unlock* liquidat* layoff* sell* sold bearish reject*
disapprov* downside downturn* downgrad* default* pressur* rate.hike* death.cross pullback*
resistance seiz* subpoena* violat* underperform* recession* tariff* bleed* struggl* falter* stall*
new.low* lows longs.liquidated
"""
_STRONG_DOWN = """
crash* plung* plummet* collaps* tumbl* slump* sink* sank dump* sell.off* capitulat* hack hacks
hacked hacker* hacking exploit* breach* drain* rug.pull* scam* fraud* ponzi* theft* stole* steal*
bankrupt* insolven* crackdown* all.time.low* record.low* record.outflow* bank.run* contagion
depeg* launder* phish* bear.market* wipe.out* wiped.out*
"""
_WEIGHTS = {"up2": 2, "down2": -2, "up1": 1, "down1": -1}
_NEGATIONS = """
no not never without denies deny denied avoid avoids avert averts fails failed fail unlikely isn't
won't doesn't didn't can't hasn't aren't
"""
_REACH = 3
_BEFORE = re.compile(r"[a-z]+(?:'[a-z]+)?")

# Coins by name, and what may not follow: another coin, a common use of the word.
_NAMES = {
    "BTC": r"Bitcoin(?! Cash| SV| Magazine)",
    "ETH": r"Ethereum(?! Classic)|Ether",
    "SOL": r"Solana",
    "XRP": r"Ripple(?!(?i:-| effects?| through| across))",
    "BNB": r"BNB Chain|Binance Coin",
    "ADA": r"Cardano",
    "AVAX": r"(?<!Liquidation )Avalanche(?!(?i: of| in| warning| risk))",
    "SUI": r"Sui(?!(?i: generis| juris))",
    "NEAR": r"(?:Near|NEAR) Protocol",
    "DOT": r"Polkadot",
    "TRX": r"(?:Tron|TRON)(?!:)",
    "APT": r"Aptos",
    "LTC": r"Litecoin",
    "HYPE": r"Hyperliquid",
    "DOGE": r"Dogecoin",
    "PEPE": r"Pepe(?:coin)?",
    "LINK": r"Chainlink",
    "AAVE": r"Aave",
    "ENA": r"Ethena",
    "ARB": r"Arbitrum",
    "FIL": r"Filecoin",
}
# Words too common to be the coin in a headline written all in capitals.
_COMMON = frozenset({"XRP", "AVAX", "SUI", "TRX", "PEPE"})
# Where a ticker means something else: a threat group, departments, an act.
_OTHERWISE = {
    "APT": re.compile(r"(?i)\b(?:groups?|hack\w*|malware|korea\w*|lazarus|threat|espionage)\b"),
    "DOGE": re.compile(r"(?i)\b(?:government|federal|department|efficiency|agenc\w+)\b"),
    "DOT": re.compile(r"(?i)\btransport\w*\b"),
    "ADA": re.compile(r"(?i)\bdisabilit\w*\b"),
}


def polarity(title: str) -> float:
    """Tone of a headline from -1 to +1; 0 where it says nothing either way."""
    text = title.lower().replace("’", "'")
    negations = frozenset(_NEGATIONS.split())
    total = 0
    for found in _lexicon().finditer(text):
        weight = _WEIGHTS[found.lastgroup or ""]
        before = _BEFORE.findall(text[: found.start()])[-_REACH:]
        total += -weight if negations.intersection(before) else weight
    return total / sqrt(total * total + 2)


def named(title: str, symbols: Sequence[str]) -> list[str]:
    """Those of our symbols that a headline names: by ticker in capitals, $TICKER, full name."""
    shouting = title.upper() == title
    return [s for s in symbols if _names(title, s.removesuffix("USDT"), shouting)]


def _names(title: str, base: str, shouting: bool) -> bool:
    ticker, marked, name = _patterns(base)
    there = base in title
    if there and marked.search(title):
        return True
    if shouting:
        return name is not None and base not in _COMMON and bool(_loud(base).search(title))
    if name is not None and name.search(title):
        return True
    otherwise = _OTHERWISE.get(base)
    return there and bool(ticker.search(title)) and not (otherwise and otherwise.search(title))


@lru_cache(maxsize=256)
def _patterns(base: str) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str] | None]:
    """A ticker in capitals, one that is marked as such, the coin's name."""
    text, name = re.escape(base), _NAMES.get(base)
    short = len(base) < 3
    bare = r"(?!)" if short else rf"(?<![\w$.]){text}(?!\w)"
    marked = rf"\${text}(?!\w)|\({text}\)|(?<!\w){text}[/-]USD[TC]?(?!\w)"
    named = re.compile(rf"(?<!\w)(?:{name})(?!\w)") if name else None
    return re.compile(bare), re.compile(marked), named


@lru_cache(maxsize=256)
def _loud(base: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{_NAMES[base]})(?!\w)", re.IGNORECASE)


@lru_cache(maxsize=1)
def _lexicon() -> re.Pattern[str]:
    """One pattern, a group for each weight, strong words and phrases before weak ones."""
    lists = {"up2": _STRONG_UP, "down2": _STRONG_DOWN, "up1": _UP, "down1": _DOWN}
    groups = [f"(?P<{name}>{'|'.join(map(_entry, text.split()))})" for name, text in lists.items()]
    return re.compile(rf"(?<![\w-])(?:{'|'.join(groups)})(?!\w)")


def _entry(word: str) -> str:
    return re.escape(word).replace(r"\.", "[ -]?").replace(r"\*", r"\w*")
