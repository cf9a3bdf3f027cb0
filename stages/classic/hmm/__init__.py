"""Hidden Markov models, and words cut by them."""
