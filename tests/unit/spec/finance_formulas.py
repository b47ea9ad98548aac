"""What the numeric finance samples ask for, computed from a row's `vars`, whose names are the parameters.

Amounts are in the prompt's unit, rates in percent, times in years, yield changes in basis points (bp).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def cash_flows(face: float, coupon: float, years: int) -> list[tuple[int, float]]:
    """Return (year, amount) of a bond with annual coupons; the coupon in percent of the face value."""
    return [(year, face * coupon / 100 + (face if year == years else 0)) for year in range(1, years + 1)]


def bond_price(face: float, coupon: float, bond_yield: float, years: int) -> float:
    return sum(amount / (1 + bond_yield / 100) ** year for year, amount in cash_flows(face, coupon, years))


def macaulay(coupon: float, bond_yield: float, years: int) -> float:
    worth = [(y, amount / (1 + bond_yield / 100) ** y) for y, amount in cash_flows(100, coupon, years)]
    return sum(year * value for year, value in worth) / sum(value for _, value in worth)


def price_change(duration: float, bp: float, convexity: float = 0.0) -> float:
    """Return the change of a bond's price in percent, to second order."""
    return (-duration * bp / 1e4 + convexity / 2 * (bp / 1e4) ** 2) * 100


def growth(start: float, end: float, years: float) -> float:
    return ((end / start) ** (1 / years) - 1) * 100


def grown(principal: float, rate: float, years: float, times: int = 1) -> float:
    return principal * (1 + rate / 100 / times) ** (times * years)


def net_present_value(outlay: float, rate: float, **flows: float) -> float:
    return sum(amount / (1 + rate / 100) ** (n + 1) for n, amount in enumerate(flows.values())) - outlay


FORMULAS: dict[str, Callable[..., float]] = {
    # bonds
    "bond_price": bond_price,
    "macaulay": macaulay,
    "macaulay_zero": lambda years: years,
    "modified_duration": lambda macaulay, bond_yield: macaulay / (1 + bond_yield / 100),
    "price_change": price_change,
    "price_fall": lambda duration, bp: -price_change(duration, bp),
    "value_fall": lambda value, duration, bp: -value * price_change(duration, bp) / 100,
    "convexity_part": lambda convexity, bp: price_change(0, bp, convexity),
    "value_of_basis_point": lambda value, duration: value * duration / 1e4,
    "portfolio_duration": lambda weight_a, duration_a, weight_b, duration_b: (
        (weight_a * duration_a + weight_b * duration_b) / (weight_a + weight_b)
    ),
    "effective_duration": lambda up, down, price, bp: (down - up) / (2 * price * bp / 1e4),
    "effective_convexity": lambda up, down, price, bp: (down + up - 2 * price) / (price * (bp / 1e4) ** 2),
    "current_yield": lambda coupon, price: coupon / price * 100,
    "zero_price": lambda face, bond_yield, years: face / (1 + bond_yield / 100) ** years,
    "zero_yield": lambda face, price, years: growth(price, face, years),
    "accrued": lambda coupon, days, year: coupon * days / year,
    "dirty": lambda clean, interest: clean + interest,
    # the yield curve
    "spread_bp": lambda long, short: (long - short) * 100,
    "forward": lambda one, two: ((1 + two / 100) ** 2 / (1 + one / 100) - 1) * 100,
    "implied_two_year": lambda one, forward: ((1 + one / 100) * (1 + forward / 100)) ** 0.5 * 100 - 100,
    "expected_average": lambda first, second: (first + second) / 2,
    # ratios
    "ratio": lambda over, under: over / under,
    "percent": lambda part, whole: part / whole * 100,
    "margin": lambda revenue, costs: (revenue - costs) / revenue * 100,
    "quick": lambda assets, inventory, liabilities: (assets - inventory) / liabilities,
    "difference": lambda first, second: first - second,
    "margin_on": lambda interest_income, interest_paid, assets: (interest_income - interest_paid) / assets * 100,
    "net_debt_ratio": lambda debt, cash, earnings: (debt - cash) / earnings,
    "days": lambda balance, flow: balance / flow * 365,
    "cash_cycle": lambda inventory_days, receivable_days, payable_days: inventory_days + receivable_days - payable_days,
    "dupont": lambda margin, turnover, leverage: margin * turnover * leverage,
    "payout_left": lambda earnings, dividends: (1 - dividends / earnings) * 100,
    "sustainable_growth": lambda roe, retention: roe * retention / 100,
    "book_per_share": lambda equity, shares: equity / shares,
    "enterprise_multiple": lambda equity, debt, cash, earnings: (equity + debt - cash) / earnings,
    # time value and valuation
    "grown": grown,
    "simple_interest": lambda principal, rate, years: principal * rate / 100 * years,
    "present_value": lambda amount, rate, years: amount / (1 + rate / 100) ** years,
    "effective_rate": lambda rate, times: ((1 + rate / 100 / times) ** times - 1) * 100,
    "rule_of_72": lambda rate: 72 / rate,
    "annual_growth": growth,
    "perpetuity": lambda payment, rate: payment / rate * 100,
    "gordon": lambda dividend, required, growth: dividend / (required - growth) * 100,
    "net_present_value": net_present_value,
    "payback": lambda outlay, flow: outlay / flow,
    "annuity": lambda payment, rate, years: payment * (1 - (1 + rate / 100) ** -years) / (rate / 100),
    "loan_interest": lambda balance, rate: balance * rate / 1200,
    # risk, return and the rest
    "capm": lambda free, beta, market: free + beta * (market - free),
    "capm_premium": lambda free, beta, premium: free + beta * premium,
    "wacc": lambda equity, cost_equity, debt, cost_debt, tax: (
        (equity * cost_equity + debt * cost_debt * (1 - tax / 100)) / (equity + debt)
    ),
    "sharpe": lambda mean, free, deviation: (mean - free) / deviation,
    "weighted": lambda weight_a, a, weight_b, b: (weight_a * a + weight_b * b) / (weight_a + weight_b),
    "total_return": lambda bought, sold, dividends: (sold - bought + dividends) / bought * 100,
    "real_rate": lambda nominal, inflation: ((1 + nominal / 100) / (1 + inflation / 100) - 1) * 100,
    "real_approx": lambda nominal, inflation: nominal - inflation,
    "expected_loss": lambda exposure, default, loss: exposure * default / 100 * loss / 100,
    "break_even": lambda fixed, price, variable: fixed / (price - variable),
    "straight_line": lambda cost, salvage, years: (cost - salvage) / years,
    "change": lambda before, after: (after - before) / before * 100,
    "free_cash_flow": lambda operating, investment: operating - investment,
    "after_tax": lambda rate, tax: rate * (1 - tax / 100),
    "convert": lambda amount, rate: amount * rate,
    "convert_back": lambda amount, rate: amount / rate,
    "call_intrinsic": lambda spot, strike: max(spot - strike, 0),
    "put_intrinsic": lambda spot, strike: max(strike - spot, 0),
    "loss_to_recover": lambda loss: 100 / (1 - loss / 100) - 100,
    "four_year_deviation": lambda deviation: deviation * 4**0.5,
    "product": lambda first, second: first * second,
}
