"""UniVAE: a variational autoencoder of sentences in one Transformer, with latents of several scales."""
