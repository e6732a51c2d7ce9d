"""Integers to bytes and back: container, range coder, tables, order. No torch in here."""
