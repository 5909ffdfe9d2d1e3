"""A step written by hand in NumPy, products by its BLAS: no framework at all."""
from common import BETA1, BETA2, EPSILON, arguments, dataset, initial, measure, minibatches, repeat

a = arguments("numpy")
import numpy as np

w, float32 = a.workload, np.float32
X, random = dataset(a), np.random.default_rng(4)
order = minibatches(w, len(X))
weights = [v.T.copy() for v in initial(w)]  # [in, out]
biases = [np.zeros(v.shape[1], float32) for v in weights]
parameters = weights + biases
first = [np.zeros_like(p) for p in parameters]
second = [np.zeros_like(p) for p in parameters]
scratch = [np.empty_like(p) for p in parameters]
updates = 0


def minibatch():
    x = X[next(order)]
    return x * float32(1 / 255) if x.dtype == np.uint8 else x


def corrupt(x):
    if w.noise == "masking":
        return x * (random.random(x.shape, dtype=float32) >= float32(w.amount))
    noise = random.standard_normal(x.shape, dtype=float32)
    noise *= float32(w.amount)
    noise += x
    return noise


def forward(x):
    """The layers' inputs, and the decoder's raw output."""
    inputs = [x]
    for n, (weight, bias) in enumerate(zip(weights, biases)):
        x = inputs[-1] @ weight
        x += bias
        if n + 1 == len(weights):
            return inputs, x
        if w.activation == "relu":
            np.maximum(x, 0, out=x)
        else:
            np.negative(x, out=x)
            np.exp(x, out=x)
            x += 1
            np.reciprocal(x, out=x)
        inputs.append(x)


def likelihood(raw, x):
    """The minibatch's mean loss, and its gradient by the raw output."""
    if w.likelihood == "bernoulli":
        e = np.exp(-np.abs(raw))
        loss = np.maximum(raw, 0) - raw * x + np.log1p(e)
        d = np.where(raw >= 0, float32(1), e) / (1 + e)
        d -= x
    else:
        d = raw - x
        loss = 0.5 * d * d
    d *= float32(1 / len(x))
    return loss.sum() / len(x), d


def backward(inputs, d):
    """The gradients, in the order of the parameters."""
    by_weight, by_bias = [None] * len(weights), [None] * len(weights)
    for n in reversed(range(len(weights))):
        y = inputs[n]
        by_weight[n], by_bias[n] = y.T @ d, d.sum(0)
        if n:
            d = d @ weights[n].T
            d *= y > 0 if w.activation == "relu" else y * (1 - y)
    return by_weight + by_bias


def adam(gradients):
    global updates
    updates += 1
    rate = float32(w.rate / (1 - BETA1**updates))
    root = float32((1 - BETA2**updates) ** -0.5)
    for p, m, v, t, g in zip(parameters, first, second, scratch, gradients):
        np.multiply(g, float32(1 - BETA1), out=t)
        m *= float32(BETA1)
        m += t
        g *= g
        g *= float32(1 - BETA2)
        v *= float32(BETA2)
        v += g
        np.sqrt(v, out=t)
        t *= root
        t += float32(EPSILON)
        np.divide(m, t, out=t)
        t *= rate
        p -= t


def step():
    x = minibatch()
    inputs, raw = forward(corrupt(x))
    loss, d = likelihood(raw, x)
    adam(backward(inputs, d))
    return loss


measure(a, repeat(step), float)
