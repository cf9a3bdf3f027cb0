"""A VAE of linear maps, whose likelihood is known: at its best it is probabilistic PCA.

Papers: Tipping & Bishop 1999 (probabilistic PCA), Lucas et al. 2019 (https://arxiv.org/abs/1911.02469).

    x = W z + b + sigma e, so x ~ N(b, W W' + sigma^2)
    at its best    -(sum_{i <= q} log l_i + (d - q) log s + d log 2 pi + d) / 2, l_i the eigenvalues of the data's
                   covariance, s the mean of those after the q-th, and W spans the axes of the first q

The number: trained by ELBO, the likelihood is within 0.01 nats of that (systems row `vae_theory`).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from stages.nets import posteriors
from stages.nets.codes import Code
from stages.nets.posteriors import Posterior
from stages.vae import likelihoods


class Linear(nn.Module):
    """A VAE whose nets are linear maps, of points as images (d, 1, 1)."""

    def __init__(self, dims: int, latent: int, source: torch.Generator) -> None:
        super().__init__()
        self.head = posteriors.make(Posterior("gauss", latent, {}))
        self.likelihood = likelihoods.make(likelihoods.Likelihood("gaussian_learned", 1.0))
        self.encoder, self.decoder = nn.Linear(dims, self.head.size), nn.Linear(latent, dims)
        self.wrong = torch.zeros(self.head.size)  # to be added to the encoder's features
        with torch.no_grad():
            for weight in (*self.encoder.parameters(), *self.decoder.parameters()):
                weight.copy_(torch.randn(weight.shape, generator=source) / 10)

    def encode(self, x: torch.Tensor) -> Code:
        """p(z|x)."""
        return self.head(self.encoder(x.flatten(1)) + self.wrong)

    def log_prob(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """log q(x|z), [k, n]."""
        return self.likelihood.log_prob(self.decoder(z)[..., None, None], x)

    def exact(self, x: torch.Tensor) -> float:
        """The mean of log q(x): x ~ N(b, W W' + sigma^2)."""
        w, sigma = self.decoder.weight.detach().double(), self.likelihood.scale(x)[1].detach().double()
        covariance = w @ w.T + sigma**2 * torch.eye(len(w))
        law = torch.distributions.MultivariateNormal(self.decoder.bias.detach().double(), covariance)
        return law.log_prob(x.flatten(1).double()).mean().item()


def learn(model: Linear, x: torch.Tensor, steps: int, rate: float, draws: int, source: torch.Generator) -> None:
    """Maximise the ELBO of all `x` [n, d, 1, 1] by `draws` draws a step, Adam's rate falling from `rate` to 0."""
    optimiser = torch.optim.Adam(model.parameters(), rate)
    falling = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda i: 1 - i / steps)
    for _ in range(steps):
        code = model.encode(x)
        loss = code.kl().mean() - model.log_prob(x, code.draw(source, draws)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        falling.step()


def principal(x: np.ndarray, latent: int) -> tuple[float, np.ndarray]:
    """Mean log likelihood of probabilistic PCA at its best on `x` [n, d], and its axes [d, latent]."""
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    kept, rest = values[::-1][:latent], values[::-1][latent:]
    d = x.shape[1]
    logs = np.log(kept).sum() + len(rest) * np.log(rest.mean())
    return float(-(logs + d * np.log(2 * np.pi) + d) / 2), vectors[:, ::-1][:, :latent]
