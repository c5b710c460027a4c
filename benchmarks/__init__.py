"""Benchmarks: the same network on our targets, on hand-written Brian2, on hand-written C++, and on other peers, side by side.

Import nothing heavy here: each implementation starts in a process of its own, whose start-up is measured.
"""
