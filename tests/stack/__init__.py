"""A private local stack for `make run`, `make demo`, the tests and the benchmarks."""
