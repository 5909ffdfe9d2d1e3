"""A workload's network, loss and optimiser in PyTorch, for the programs that time it on
a CPU and on a GPU."""
import math

import torch
from common import BETA1, BETA2, EPSILON, initial
from torch import nn
from torch.nn import functional as F

ACTIVATIONS = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU}


def network(w):
    layers = []
    for weight in initial(w):
        linear = nn.Linear(weight.shape[1], weight.shape[0])
        linear.weight.data.copy_(torch.from_numpy(weight))
        linear.bias.data.zero_()
        layers += [linear, ACTIVATIONS[w.activation]()]
    return nn.Sequential(*layers[:-1])


def fused_adam(net, w, **settings):
    return torch.optim.Adam(net.parameters(), lr=w.rate, betas=(BETA1, BETA2), eps=EPSILON, fused=True, **settings)


def denoising_score_matching(net, X, w):
    """The loss of the rows of X that an index names: noise of a level that is drawn for each, D(x; s) = c_skip x + c_out F(c_in x),
    and (s^2 + 1)/s^2 times half of the squared error (Karras et al. 2022, table 1 and eq. 8, for data of variance 1)."""
    least, greatest, count = w.levels
    levels = torch.logspace(math.log10(least), math.log10(greatest), count, device=X.device)

    def loss_of(index):
        x = X[index]
        sigma = levels[torch.randint(count, (len(x), 1), device=x.device)]
        noisy = x + sigma * torch.randn_like(x)
        variance = sigma**2 + 1
        denoised = noisy / variance + sigma / variance.sqrt() * net(noisy / variance.sqrt())
        return 0.5 * (variance / sigma**2 * (denoised - x) ** 2).sum() / w.batch

    return loss_of


def loss_of_rows(net, X, w):
    """The loss of the rows of X that an index names, corrupted afresh."""
    if w.levels:
        return denoising_score_matching(net, X, w)

    def loss_of(index):
        x = X[index]
        if x.dtype == torch.uint8:
            x = x.float() / 255
        if w.noise == "masking":
            corrupted = x * (torch.rand_like(x) >= w.amount)
        else:
            corrupted = x + w.amount * torch.randn_like(x)
        if w.likelihood == "bernoulli":
            return F.binary_cross_entropy_with_logits(net(corrupted), x, reduction="sum") / w.batch
        return 0.5 * F.mse_loss(net(corrupted), x, reduction="sum") / w.batch

    return loss_of
