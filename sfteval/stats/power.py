"""What a paired comparison can show, before it is run.

In: the number of pairs (or the drop), the share of discordant pairs, error rates. Out: the smallest drop
that a number of pairs detects, the number that a drop needs, the number at which no change passes.

Normal approximation of the paired score test (Miettinen 1968, Biometrics 24, 339-352; Connor 1987,
Biometrics 43, 207-211). ``discordance`` is P(gain) + P(loss); a drop larger than it raises it to the drop.
For scores that are not binary pass the mean squared difference. Clusters: pass the number of clusters, and
the mean squared difference of their means. Known gap: with fewer than about ten discordant pairs expected,
the exact test detects somewhat smaller drops than are promised here.
"""

from math import ceil, inf, log, log1p, sqrt
from statistics import NormalDist


def smallest_detectable_drop(
    n: int, *, discordance: float, alpha: float = 0.05, power: float = 0.8, margin: float = 0.0
) -> float:
    """Return the smallest true drop that n pairs prove to exceed the margin with the given power.

    Args:
        n: pairs.
        discordance: share of pairs that differ, in [0, 1].
        alpha: one-sided error rate of the gate, already divided among the gates if they share it.
        power: probability with which the drop is to be proven.
        margin: drop that is tolerated.

    Returns:
        The drop as a positive difference of mean scores; infinity when n pairs cannot prove any.

    Raises:
        ValueError: an argument outside its range.
    """
    _check(discordance, alpha, power, margin)
    if n < 1:
        raise ValueError(f"n must be positive, found {n}")
    if _pairs(1.0, discordance, alpha, power, margin) > n:
        return inf
    low, high = margin, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if middle > margin and _pairs(middle, discordance, alpha, power, margin) <= n:
            high = middle
        else:
            low = middle
    return high


def samples_needed(
    drop: float, *, discordance: float, alpha: float = 0.05, power: float = 0.8, margin: float = 0.0
) -> int:
    """Return how many pairs prove a true drop to exceed the margin with the given power.

    Args:
        drop: true drop as a positive difference of mean scores, above the margin.
        discordance: share of pairs that differ, in [0, 1].
        alpha: one-sided error rate of the gate.
        power: probability with which the drop is to be proven.
        margin: drop that is tolerated.

    Raises:
        ValueError: an argument outside its range, or a drop that does not exceed the margin.
    """
    _check(discordance, alpha, power, margin)
    if not margin < drop <= 1:
        raise ValueError(f"the drop must lie in ({margin}, 1], found {drop}")
    return ceil(_pairs(drop, discordance, alpha, power, margin))


def samples_to_pass(margin: float, *, discordance: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """Return how many pairs an unchanged model needs to pass `no_regression` with the given power.

    Args:
        margin: drop that is tolerated; the gate passes when a larger one is excluded.
        discordance: share of pairs that differ, in [0, 1].
        alpha: one-sided error rate of the gate.
        power: probability with which an unchanged model is to pass.

    Raises:
        ValueError: an argument outside its range; a margin of 0, which no number of pairs can pass.
    """
    _check(discordance, alpha, power, margin)
    if margin <= 0:
        raise ValueError("a margin of 0 cannot be passed: no number of pairs excludes every drop")
    spread = sqrt(max(discordance, margin) - margin**2)
    normal = _normal_quantile(alpha) * spread + _normal_quantile(1 - power) * sqrt(discordance)
    silent = log(alpha) / log1p(-margin) if margin < 1 else 1.0  # no pair discordant: the rule of three
    return ceil(max((max(normal, 0.0) / margin) ** 2, silent))


def _pairs(drop: float, discordance: float, alpha: float, power: float, margin: float) -> float:
    rate = max(discordance, drop)
    under_null, at_drop = sqrt(rate - margin**2), sqrt(rate - drop**2)
    spread = _normal_quantile(alpha) * under_null + _normal_quantile(1 - power) * at_drop
    return (max(spread, 0.0) / (drop - margin)) ** 2


def _normal_quantile(tail: float) -> float:
    return -NormalDist().inv_cdf(tail)


def _check(discordance: float, alpha: float, power: float, margin: float) -> None:
    if not 0 <= discordance <= 1:
        raise ValueError(f"discordance must lie in [0, 1], found {discordance}")
    if not (0 < alpha < 1 and 0 < power < 1):
        raise ValueError(f"alpha and power must lie in (0, 1), found {alpha} and {power}")
    if not 0 <= margin < 1:
        raise ValueError(f"the margin must lie in [0, 1), found {margin}")
