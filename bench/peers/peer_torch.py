"""PyTorch. `eager` is the plain way with the fused Adam; `compiled` puts the gather,
the corruption, the model and the loss through torch.compile; `bf16` is eager under
bfloat16 autocast, which is another arithmetic and counts apart."""
from common import arguments, dataset, measure, minibatches, repeat

a = arguments("torch", ("eager", "compiled", "bf16"))
import torch
from torch_dae import fused_adam, loss_of_rows, network

torch.set_num_threads(a.threads)
torch.set_flush_denormal(True)
torch.manual_seed(4)
w = a.workload
X = torch.from_numpy(dataset(a))
order = minibatches(w, len(X))
net = network(w)
optimizer = fused_adam(net, w)
loss_of = loss_of_rows(net, X, w)
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
