"""Contracts: everything that crosses a wire or a file. Validation only: no I/O, no clock."""
