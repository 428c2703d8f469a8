"""The ledger, the directory and the other collections in MongoDB. `client` alone knows the driver."""
