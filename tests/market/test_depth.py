"""The depth sampler against one that walks the book level by level."""

from itertools import pairwise
from math import exp, floor, inf, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.events import BookSnapshot
from engine.market.book import Book
from engine.market.depth import DepthSampler, Sample, refill

NS = 1_000_000_000
NOW = 1_750_000_000 * NS
Levels = list[tuple[float, float]]


def book(bids: Levels, asks: Levels, edges: tuple[float, float] | None = None) -> Book:
    out = Book()
    out.snapshot(BookSnapshot(venue="binance", market="perp", symbol="BTCUSDT", ts=NOW, recv=NOW,
                              bids=bids, asks=asks, seq=1))  # fmt: skip
    if edges is not None:
        out.edges = edges
    return out


def sample(sampler: DepthSampler, whole: Book, bid: float, ask: float, now: int = NOW,
           sizes: tuple[float, float] = (1.0, 1.0)) -> Sample:  # fmt: skip
    one = [np.array([x]) for x in (bid, ask, *sizes)]
    return sampler.sample([whole], *one, now)


def random_book(rng: np.random.Generator) -> tuple[Levels, Levels, float, float, tuple]:
    """Some slots empty, some outsized, the edges of what is known anywhere."""
    mid = float(np.exp(rng.uniform(-2, 11)))
    sides: list[Levels] = []
    for sign in (-1, 1):
        away = np.sort(rng.uniform(0.05, rng.uniform(20, 140), int(rng.integers(40, 500))))
        if rng.random() < 0.5:
            away = away[(away < 30) | (away > 38)]
        sizes = rng.exponential(1e4, len(away)) / mid
        sizes[rng.integers(0, len(away), 3)] *= 60
        prices = mid * np.exp(sign * away * 1e-4)
        sides.append([(float(p), float(q)) for p, q in zip(prices, sizes, strict=True)])
    bids, asks = sides
    edges = (mid * exp(-rng.uniform(-5, 120) * 1e-4), mid * exp(rng.uniform(-5, 120) * 1e-4))
    return bids, asks, bids[0][0], asks[0][0], edges


class Slow:
    """One side or both, in plain loops."""

    def __init__(self, bids: Levels, asks: Levels, bid: float, ask: float, edges: tuple) -> None:
        self.mid = log((bid + ask) / 2)
        self.near = [[0.0] * 100, [0.0] * 100]
        self.count = [[0] * 100, [0] * 100]
        self.fixed = [[0.0] * 100, [0.0] * 100]
        for side, levels in enumerate((bids, asks)):
            for price, size in levels:
                away = (-1, 1)[side] * (log(price) - self.mid) * 1e4
                if 0 <= away < 100:
                    self.near[side][int(away)] += price * size
                    self.count[side][int(away)] += 1
                    slot = abs(floor(log(price) * 1e4) - floor(self.mid * 1e4))
                    self.fixed[side][min(slot, 99)] += price * size
        self.cover = min(self._known(side, edges) for side in (0, 1))

    def _known(self, side: int, edges: tuple) -> float:
        """To the snapshot's edge; further while at least half as dense as inside of it."""
        edge = (-1, 1)[side] * (log(edges[side]) - self.mid) * 1e4
        inside = [n for n in range(100) if n < max(edge, 1.0)]
        usual = sum(self.count[side][n] for n in inside) / len(inside)
        reach = 0
        for n in range(100):
            if n not in inside and self.count[side][n] < max(usual / 2, 0.5):
                break
            reach = n + 1
        return min(max(edge, reach), 100.0)

    def depth(self, side: int, band: float) -> float:
        whole = int(band)
        part = self.near[side][whole] * (band - whole) if whole < 100 else 0.0
        return sum(self.near[side][:whole]) + part

    def thin(self, side: int) -> float:
        slots = int(self.cover)
        usual = sum(self.near[0][:slots] + self.near[1][:slots]) / (2 * slots)
        return sum(x < usual / 4 for x in self.near[side][:slots]) / slots

    def wall(self, side: int) -> tuple[float, float] | None:
        """(notional, distance) of the nearest slot five times as large as the mean filled one."""
        inside = [n for n in range(100) if n < self.cover]
        filled = [x[n] for x in self.fixed for n in inside if x[n] > 0]
        usual = sum(filled) / max(len(filled), 1)
        for n in inside:
            if filled and self.fixed[side][n] >= 5 * usual:
                return self.fixed[side][n], (n + 0.5) * 1e-4
        return None


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 2**32 - 1))
def test_measures_equal_the_plain_ones(seed: int) -> None:
    bids, asks, bid, ask, edges = random_book(np.random.default_rng(seed))
    got, slow = sample(DepthSampler(1), book(bids, asks, edges), bid, ask, sizes=(3.0, 1.0)), None
    slow = Slow(bids, asks, bid, ask, edges)
    assert bool(got.known[0]) is (slow.cover >= 2)
    if not got.known[0]:
        return
    assert got.cover[0] == pytest.approx(slow.cover, abs=1e-6)
    f = {name: float(values[0]) for name, values in got.fields.items()}
    for n, side in enumerate(("bid", "ask")):
        for band in (10, 50, 100):
            assert f[f"band_{band}"] == pytest.approx(min(band, slow.cover), abs=1e-6)
            wanted = slow.depth(n, min(band, slow.cover))
            assert f[f"{side}_{band}"] == pytest.approx(wanted, rel=1e-6, abs=1e-6)
        assert f[f"{side}_thin"] == pytest.approx(slow.thin(n))
        wall = slow.wall(n)
        assert bool(got.walled[n, 0]) is (wall is not None)
        assert (f[f"{side}_wall"], f[f"{side}_wall_distance"]) == pytest.approx(wall or (0, 0))
        assert f[f"{side}_wall_life"] == 0
    assert f["tilt"] == 0.25
    assert f["spread"] == pytest.approx((ask - bid) / ((ask + bid) / 2) * 1e4)
    assert f["top"] == pytest.approx((3 * bid + ask) / 2)


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 2**32 - 1))
def test_a_mirrored_book_gives_swapped_measures(seed: int) -> None:
    """Exactly, but for walls: they stand in slots of fixed price, so a bid's is one slot away."""
    rng = np.random.default_rng(seed)
    base = int(rng.integers(50_000, 110_000))
    sides = [
        {int(n): float(rng.exponential(1e5)) * (50 if rng.random() < 0.03 else 1)
         for n in rng.integers(0, 98, 80)}
        for _ in range(2)
    ]  # fmt: skip

    def made(down: dict[int, float], up: dict[int, float]) -> dict[str, float]:
        bids = [(exp((base - n - 0.5) * 1e-4), usd) for n, usd in sorted(down.items())]
        asks = [(exp((base + n + 0.5) * 1e-4), usd) for n, usd in sorted(up.items())]
        sizes = [[(price, usd / price) for price, usd in levels] for levels in (bids, asks)]
        mid = exp(base * 1e-4) * (1 + 1e-9)
        got = sample(DepthSampler(1), book(*sizes, (0.0, inf)), mid * (1 - 1e-6), mid * (1 + 1e-6))
        assert (got.known[0], got.cover[0]) == (True, 100)
        return {name: float(values[0]) for name, values in got.fields.items()}

    one, two = made(*sides), made(*sides[::-1])
    for name, value in one.items():
        side, _, rest = name.partition("_")
        other = {"bid": "ask_", "ask": "bid_"}.get(side, side + "_") + rest
        wanted = two[other if rest and side != "band" else name]
        if name.endswith("distance") and value:
            wanted += 1e-4 if side == "bid" else -1e-4
        assert value == pytest.approx(wanted, rel=1e-5, abs=1e-9), name


FLAT_BIDS = [(exp((100_000 - n - 0.5) * 1e-4), 1.0) for n in range(110)]
FLAT_ASKS = [(exp((100_000 + n + 0.5) * 1e-4), 1.0) for n in range(110)]
MID = exp(10) * (1 + 1e-9)


def walls(sampler: DepthSampler, seconds: float, at: int | None = 20, ask: bool = False,
          shift: int = 0) -> dict[str, float]:  # fmt: skip
    """Sample a flat book with one outsized slot; `shift` moves the mid by slots."""
    bids, asks = list(FLAT_BIDS), list(FLAT_ASKS)
    if at is not None:
        levels = asks if ask else bids
        levels[at] = (levels[at][0], 50.0)
    mid = MID * exp(shift * 1e-4)
    got = sample(sampler, book(bids, asks), mid * (1 - 1e-6), mid * (1 + 1e-6),
                 NOW + round(seconds * NS))  # fmt: skip
    assert got.known[0]
    return {name: float(values[0]) for name, values in got.fields.items() if "wall" in name}


def test_a_wall_ages_while_it_stands_and_is_born_again_after_flickering() -> None:
    sampler = DepthSampler(1)
    assert walls(sampler, 0)["bid_wall_life"] == 0
    got = walls(sampler, 1)
    assert (got["bid_wall_life"], got["ask_wall"]) == (1, 0)
    assert got["bid_wall_distance"] == pytest.approx(21.5e-4, abs=1.1e-4)
    assert walls(sampler, 2)["bid_wall_life"] == 2
    assert walls(sampler, 3, at=None)["bid_wall"] == 0
    assert walls(sampler, 4)["bid_wall_life"] == 4  # away for one sample: it flickered
    for t in (5, 6, 7):
        walls(sampler, t, at=None)
    assert walls(sampler, 8)["bid_wall_life"] == 0
    assert walls(sampler, 9)["bid_wall_life"] == 1


def test_a_wall_keeps_its_age_while_price_moves() -> None:
    sampler = DepthSampler(1)
    for t in range(10):
        got = walls(sampler, t, at=30, ask=True, shift=t)
        assert got["ask_wall_life"] == t
        assert got["ask_wall_distance"] == pytest.approx((30.5 - t) * 1e-4, abs=1.1e-4)


def test_the_nearest_of_several_walls_is_told() -> None:
    sampler = DepthSampler(1)
    walls(sampler, 0, at=40)
    bids = list(FLAT_BIDS)
    bids[40], bids[12] = (bids[40][0], 50.0), (bids[12][0], 70.0)
    got = sample(sampler, book(bids, FLAT_ASKS), MID * (1 - 1e-6), MID * (1 + 1e-6), NOW + NS)
    assert got.fields["bid_wall"][0] == pytest.approx(70 * bids[12][0])
    assert got.fields["bid_wall_life"][0] == 0


def test_bands_end_where_the_book_is_known() -> None:
    """Price falls below what the snapshot held: only what was learned since counts as known."""
    bids = [(100.0 * exp(-(n + 0.5) * 1e-4), 1.0) for n in range(40)]
    asks = [(100.0 * exp((n + 0.5) * 1e-4), 1.0) for n in range(200)]
    low = 100.0 * exp(-45e-4)
    whole = book(bids, asks)
    learned = [(100.0 * exp(-(n + 0.5) * 1e-4), 1.0) for n in range(45, 60)]
    whole.bid_side.update([(p, 0.0) for p, _ in bids] + learned)
    got = sample(DepthSampler(1), whole, low * (1 - 1e-7), low * (1 + 1e-7))
    assert got.cover[0] == pytest.approx(15, abs=1.01)
    assert got.fields["band_50"][0] == got.cover[0]


def test_what_cannot_be_sampled_is_unknown() -> None:
    whole = book(FLAT_BIDS, FLAT_ASKS)
    bid, ask = MID * (1 - 1e-5), MID * (1 + 1e-5)
    sampler = DepthSampler(1)
    assert sample(sampler, whole, bid, ask).known[0]
    assert not sample(sampler, whole, ask, bid).known[0]
    assert not sample(sampler, whole, np.nan, np.nan).known[0]
    assert not sample(sampler, whole, bid, ask, sizes=(0.0, 0.0)).known[0]
    assert not sampler.sample([None], *(np.array([x]) for x in (bid, ask, 1.0, 1.0)), NOW).known[0]
    assert not sample(sampler, book(FLAT_BIDS[:1], FLAT_ASKS), bid, ask).known[0]
    one_sided = sample(sampler, book([], FLAT_ASKS, (0.0, inf)), bid, ask)
    assert one_sided.fields["bid_100"][0] == 0


@settings(deadline=None, max_examples=200)
@given(*[st.one_of(st.just(np.nan), st.floats(0, 1e9)) for _ in range(2)], st.floats(0, 1e9))
def test_refill_is_what_came_back(before: float, after: float, taken: float) -> None:
    hit, back = (float(x[0]) for x in refill(*(np.array([x]) for x in (before, after, taken))))
    if np.isnan(before) or not taken >= 0.05 * before:
        assert (hit, back) == (0, 0)
    elif np.isnan(after):
        assert np.isnan(back)
    else:
        assert hit == taken
        assert back == min(max(after - before + taken, -taken), 2 * taken)


def test_walls_of_many_prices_do_not_mix() -> None:
    """A wall 512 slots away shares its place in memory, not its age."""
    sampler = DepthSampler(1)
    assert walls(sampler, 0)["bid_wall_life"] == 0
    far = exp(512e-4)
    bids = [(p * far, 50.0 if n == 20 else 1.0) for n, (p, _) in enumerate(FLAT_BIDS)]
    asks = [(p * far, q) for p, q in FLAT_ASKS]
    mid = MID * far
    got = sample(sampler, book(bids, asks), mid * (1 - 1e-6), mid * (1 + 1e-6), NOW + NS)
    assert got.walled[0, 0]
    assert got.fields["bid_wall_life"][0] == 0


def test_tick_is_the_finest_step_seen() -> None:
    sparse = [(100.0, 1.0), (99.5, 1.0), (99.0, 1.0)]
    whole = book(sparse, [(100.5, 1.0), (101.0, 1.0)])
    assert whole.tick == pytest.approx(0.5)
    fine = [(100.0 - n * 0.1, 1.0) for n in range(20)]
    for bids, tick in ((fine, 0.1), (sparse, 0.1), ([], 0.1)):
        whole.snapshot(BookSnapshot(venue="binance", market="perp", symbol="BTCUSDT", ts=NOW,
                                    recv=NOW, bids=bids, asks=[], seq=None))  # fmt: skip
        assert whole.tick == pytest.approx(tick)
    assert all(a > b for a, b in pairwise(p for p, _ in fine))
