"""The statistics of burnish: intervals, paired tests, posteriors and planning, on numpy and scipy.

Rows come from independent groups (a document, a customer); rows of one group may be alike. Scores lie in [0, 1] and
paired differences (after - before, on identical rows) in [-1, 1]. Shares and gains are 0-1, never points.
"""
