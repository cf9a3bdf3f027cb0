"""Classical learners from scratch, and the protocol that compares them."""
