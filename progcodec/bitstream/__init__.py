"""Integers to bytes and back: container, range coder, tables, coding order.

No torch and no network in here.
"""
