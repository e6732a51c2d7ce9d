"""How fast, how large, how steady: speed, throughput of fleets, big pictures, soak."""
