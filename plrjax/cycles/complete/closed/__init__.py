"""The search of boxes of closed orbits, for many units and short periods."""
