"""The public listener: what providers and readers' browsers call. It knows nothing of the console."""
