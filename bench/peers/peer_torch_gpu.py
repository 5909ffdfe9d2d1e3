"""PyTorch on a GPU. `eager` is the plain way with the fused Adam. `graphed` compiles the
loss, captures the whole step, optimiser included, as one CUDA graph, and replays
it. Data and order lie on the GPU. `--tf32` lets products round their factors, `--bf16` makes
them in bfloat16 (autocast)."""
from common import arguments, dataset, measure, minibatches, repeat

a = arguments("torch", ("eager", "graphed"), flags=("tf32", "bf16"), gpu=True)
import torch
from torch_dae import fused_adam, loss_of_rows, network

torch.backends.cuda.matmul.allow_tf32 = a.tf32
torch.manual_seed(4)
w, cuda = a.workload, "cuda"
X = torch.from_numpy(dataset(a)).to(cuda)
order = minibatches(w, len(X))
net = network(w).to(cuda)
optimizer = fused_adam(net, w, capturable=a.mode == "graphed")
loss_of = loss_of_rows(net, X, w)
if a.bf16:
    loss_of = torch.autocast(cuda, torch.bfloat16)(loss_of)


def advance(index):
    optimizer.zero_grad(set_to_none=False)
    loss = loss_of(index)
    loss.backward()
    optimizer.step()
    return loss


def eager():
    return advance(torch.from_numpy(next(order)).to(cuda, non_blocking=True))


def graphed():
    """A step whose launches are recorded: some are made beside it first, as
    torch.cuda.graph asks for."""
    global loss_of
    loss_of = torch.compile(loss_of)
    index = torch.from_numpy(next(order)).to(cuda)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            advance(index)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = advance(index)

    def step():
        index.copy_(torch.from_numpy(next(order)), non_blocking=True)
        graph.replay()
        return loss

    return step


measure(a, repeat(eager if a.mode == "eager" else graphed()), lambda loss: loss.item())
