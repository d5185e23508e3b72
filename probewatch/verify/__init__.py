"""A timeline and a spec in, findings out: pass, fail or inconclusive, each with its evidence.

Empty as yet. Pure, like everything between `wire` and `observer`.
"""
