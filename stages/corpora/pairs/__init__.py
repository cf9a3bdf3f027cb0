"""Data sets of pairs of sentences that say the same: for training those that encode sentences."""
