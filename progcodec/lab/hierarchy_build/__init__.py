"""How a class hierarchy is made: embeddings, nested clusters, names, and how good it all is."""
