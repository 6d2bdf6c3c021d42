"""The simulated market: prices, books, takers, positions, and the past behind them.

Everything is in the venue's own units: prices in ticks, sizes in lot steps, both whole numbers,
so that a book is exact and two runs of one seed are identical. `SimulatedMarket` is the entrance.
"""

from engine.sim.market.market import SimulatedMarket as SimulatedMarket
from engine.sim.market.scenario import SCENARIOS as SCENARIOS
from engine.sim.market.scenario import Switches as Switches
