"""How far labelers agree, over all and between groups of them, with intervals by item.

Everything is counted from `answers.said`, whose arguments decide whether AI labelers take part; gold items are left aside here,
for they are shown to everybody and are no sample of the work. How good each single labeler is, is in `skill`. Left out: texts
that labelers write, and agreement about edits.
"""
