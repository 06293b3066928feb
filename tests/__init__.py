"""Tests of latido; a package, so that its servers can be started by hand and by benchmarks."""
