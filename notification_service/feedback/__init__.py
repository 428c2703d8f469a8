"""What becomes known about messages after a server took them, and what follows from it."""
