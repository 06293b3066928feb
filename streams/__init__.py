"""The core: merge, state, windows, rhythm, scores, decisions. Deterministic: no I/O, clock or random source."""
