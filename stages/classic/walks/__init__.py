"""Random walks, and path integrals by them."""
