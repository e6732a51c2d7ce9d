"""How fast, how large, how steady: ``progcodec bench speed | fleet | big | soak``."""
