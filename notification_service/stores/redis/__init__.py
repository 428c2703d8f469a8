"""Claims and rate limits in Redis or Valkey. `client` alone knows the driver."""
