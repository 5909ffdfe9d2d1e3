"""JAX. A jitted step holds the gather, the corruption, the model, the gradient and
Adam. `step` calls it once a step; `scan` runs all the steps of a call in one
lax.scan, without coming back to Python."""
from functools import partial

from common import BETA1, BETA2, EPSILON, arguments, dataset, initial, measure, minibatches, repeat

a = arguments("jax", ("step", "scan"))
import os

# XLA makes a thread for each processor that the process may run on.
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: a.threads])
os.environ["JAX_PLATFORMS"] = "cpu"
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

w = a.workload
X = jnp.asarray(dataset(a))
order = minibatches(w, len(X))
activation = {"sigmoid": jax.nn.sigmoid, "relu": jax.nn.relu}[w.activation]
parameters = [(jnp.asarray(v.T), jnp.zeros(v.shape[0])) for v in initial(w)]  # weights [in, out]


def corrupt(key, x):
    if w.noise == "masking":
        return x * (jax.random.uniform(key, x.shape) >= w.amount)
    return x + w.amount * jax.random.normal(key, x.shape)


def decoded(parameters, x):
    for n, (weight, bias) in enumerate(parameters):
        x = x @ weight + bias
        if n + 1 < len(parameters):
            x = activation(x)
    return x


def loss_of(parameters, corrupted, x):
    raw = decoded(parameters, corrupted)
    if w.likelihood == "bernoulli":
        return jnp.sum(jax.nn.softplus(raw) - raw * x) / w.batch
    return 0.5 * jnp.sum((raw - x) ** 2) / w.batch


def adam(parameters, gradients, first, second, updates):
    tree = jax.tree.map
    first = tree(lambda m, g: BETA1 * m + (1 - BETA1) * g, first, gradients)
    second = tree(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, second, gradients)
    rate, root = w.rate / (1 - BETA1**updates), lax.rsqrt(1 - BETA2**updates)
    parameters = tree(lambda p, m, v: p - rate * m / (jnp.sqrt(v) * root + EPSILON), parameters, first, second)
    return parameters, first, second


def update(X, state, index):
    parameters, first, second, updates, key = state
    key, draw = jax.random.split(key)
    x = X[index]
    if x.dtype == jnp.uint8:
        x = x.astype(jnp.float32) / 255
    loss, gradients = jax.value_and_grad(loss_of)(parameters, corrupt(draw, x), x)
    parameters, first, second = adam(parameters, gradients, first, second, updates + 1)
    return (parameters, first, second, updates + 1, key), loss


one = jax.jit(update, donate_argnums=1)


@partial(jax.jit, donate_argnums=1)
def many(X, state, indices):
    return lax.scan(partial(update, X), state, indices)


def zeros():
    return jax.tree.map(jnp.zeros_like, parameters)


state = (parameters, zeros(), zeros(), jnp.float32(0), jax.random.key(4))


def step():
    global state
    state, loss = one(X, state, next(order).astype(np.int32))
    return loss


def scan(n):
    global state
    state, losses = many(X, state, np.stack([next(order) for _ in range(n)]).astype(np.int32))
    return losses[-1]


measure(a, scan if a.mode == "scan" else repeat(step), lambda loss: float(jax.block_until_ready(loss)))
