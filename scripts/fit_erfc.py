#!/usr/bin/env python3
"""Fits the polynomial of the erfc in src/ops/cpu/erfc-inl.h.

Needs mpmath from PyPI. Usage: fit_erfc.py
erfc(a) = t Q(t) exp(-a^2) for a >= 0 with t = 1 / (1 + p a): erfc's own exponential decay is left to exp, and what
remains is smooth in t. Q is the polynomial whose largest relative error over a in [0, 9.6] is smallest (Remez exchange);
beyond 9.6 erfc is below the smallest fp32. Prints the coefficients, the highest power first, and that error.
"""
import mpmath as mp

P = mp.mpf("0.3")
DEGREE = 8
LARGEST = mp.mpf("9.6")
GRID = 3000


def target(t: mp.mpf) -> mp.mpf:
    a = (1 / t - 1) / P
    return mp.erfc(a) * mp.exp(a * a) / t


def alternating_fit(points: list, values: list) -> list:
    """Coefficients of the polynomial whose relative error alternates in sign and is equal in size at the points."""
    n = len(points)
    matrix, ones = mp.matrix(n, n), mp.matrix(n, 1)
    for i, (t, value) in enumerate(zip(points, values)):
        for power in range(n - 1):
            matrix[i, power] = t**power / value
        matrix[i, n - 1] = (-1) ** i
        ones[i] = 1
    solution = mp.lu_solve(matrix, ones)
    return [solution[power] for power in reversed(range(n - 1))]


def extrema(errors: list) -> list:
    """The place of the largest error between two changes of sign, for each."""
    borders = [0] + [i for i in range(1, len(errors)) if (errors[i] > 0) != (errors[i - 1] > 0)] + [len(errors)]
    return [max(range(a, b), key=lambda i: abs(errors[i])) for a, b in zip(borders, borders[1:])]


def main() -> None:
    mp.mp.dps = 40
    lowest = 1 / (1 + P * LARGEST)
    grid = [lowest + (1 - lowest) * i / GRID for i in range(GRID + 1)]
    values = [target(t) for t in grid]
    n = DEGREE + 2
    points = [round(GRID * (1 - mp.cos(mp.pi * i / (n - 1))) / 2) for i in range(n)]
    for _ in range(12):
        coefficients = alternating_fit([grid[i] for i in points], [values[i] for i in points])
        errors = [mp.polyval(coefficients, t) / value - 1 for t, value in zip(grid, values)]
        found = extrema(errors)
        if len(found) != n:
            break
        points = found
    print(", ".join(mp.nstr(c, 9) + "f" for c in coefficients))
    print("largest relative error", mp.nstr(max(abs(e) for e in errors), 3))


if __name__ == "__main__":
    main()
