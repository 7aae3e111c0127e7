"""This file knows how results are drawn: bars with their quartiles, in SVG that can be read on white and on black."""


def drawings(results):
    return {}
