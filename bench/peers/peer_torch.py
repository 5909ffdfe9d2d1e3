"""PyTorch. `eager` is the plain way with the fused Adam; `compiled` puts the gather,
the corruption, the model and the loss through torch.compile; `bf16` is eager under
bfloat16 autocast, which is another arithmetic and counts apart."""
from common import BETA1, BETA2, EPSILON, arguments, dataset, initial, measure, minibatches, repeat

a = arguments("torch", ("eager", "compiled", "bf16"))
import torch
from torch import nn
from torch.nn import functional as F

torch.set_num_threads(a.threads)
torch.set_flush_denormal(True)
torch.manual_seed(4)
w = a.workload
X = torch.from_numpy(dataset(a))
order = minibatches(w, len(X))


def network():
    layers = []
    for weight in initial(w):
        linear = nn.Linear(weight.shape[1], weight.shape[0])
        linear.weight.data.copy_(torch.from_numpy(weight))
        linear.bias.data.zero_()
        layers += [linear, {"sigmoid": nn.Sigmoid, "relu": nn.ReLU}[w.activation]()]
    return nn.Sequential(*layers[:-1])


net = network()
optimizer = torch.optim.Adam(net.parameters(), lr=w.rate, betas=(BETA1, BETA2), eps=EPSILON, fused=True)


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


if a.mode == "compiled":
    loss_of = torch.compile(loss_of)


def step():
    optimizer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=a.mode == "bf16"):
        loss = loss_of(torch.from_numpy(next(order)))
    loss.backward()
    optimizer.step()
    return loss


measure(a, repeat(step), lambda loss: loss.item())
