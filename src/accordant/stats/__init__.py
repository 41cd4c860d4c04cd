"""Pure numpy/scipy statistics: rankings to pairs, consensus, agreement, intervals, calibration.

Every function checks the shape of what it is given at the door, so that a mistake fails instead of broadcasting.
"""
