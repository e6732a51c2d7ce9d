"""Commands of the laboratory: each parses, calls the laboratory, prints."""
