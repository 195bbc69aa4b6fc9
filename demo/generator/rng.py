"""A seeded random number generator of our own: Python's may change between versions, these bytes must not."""

_MASK = (1 << 64) - 1


class Rng:
    """SplitMix64 (Steele, Lea and Flood 2014)."""

    def __init__(self, seed):
        self._state = seed & _MASK

    def next(self):
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def below(self, n):
        """0 <= result < n. The bias is below n / 2^64."""
        return (self.next() * n) >> 64

    def between(self, low, high):
        """low <= result <= high."""
        return low + self.below(high - low + 1)

    def chance(self, percent):
        return self.below(100) < percent

    def choice(self, items):
        return items[self.below(len(items))]

    def weighted(self, pairs):
        """One of the (item, whole weight) pairs."""
        at = self.below(sum(weight for _, weight in pairs))
        for item, weight in pairs:
            at -= weight
            if at < 0:
                return item
        raise AssertionError("unreachable")

    def sample(self, items, count):
        """`count` different items, in random order."""
        left = list(items)
        self.shuffle(left, count)
        return left[:count]

    def shuffle(self, items, count=None):
        """In place; with `count` only the first `count` places are final."""
        for i in range(len(items) if count is None else count):
            j = i + self.below(len(items) - i)
            items[i], items[j] = items[j], items[i]


def hash_of(text):
    """FNV-1a, 64 bits: decides by the text alone what is held out."""
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = ((value ^ byte) * 0x100000001B3) & _MASK
    return value
