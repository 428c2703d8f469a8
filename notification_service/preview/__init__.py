"""Templates seen before they are sent: proofs, checks, extraction, the gallery."""
