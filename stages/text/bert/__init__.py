"""Encoders as BERT has them: words and their places in a text, the network, public checkpoints, and pretraining."""
