"""In-memory twins of the stores, for `demo`, `preview` and the tests. They pass the contract suite of the real ones."""
