// share.cuh: products whose sums are shared among blocks. A sum of k terms is cut into ranges of
// k, the shares, whose number and bounds follow from the product's shape alone (kernels/product.go),
// and a tile of the product has a block for each of them. A block leaves its sums in memory and takes
// the tile's ticket; the one that comes last adds up what all of them have left, in the order of k,
// and goes on with the tile. So neither the order of the blocks nor the tile changes a bit.
#pragma once

#include "ticket.cuh"
#include "vector.cuh"

namespace gpudae {

// Shares is how a product is cut: into count ranges of depth terms, of which the last may be
// shorter. partial [tiles·count, elements of a tile] and tickets [tiles], all 0, are there if count
// is more than 1.
struct Shares {
  int64_t count, depth;
  float* partial;
  uint32_t* tickets;
};

// Share is one block's work: a tile, and the terms from first on.
struct Share {
  uint32_t tile, number;
  int64_t first, terms;
  // The blocks of the first shares of all tiles come first, then those of the second ones.
  __device__ Share(uint32_t part, uint32_t tiles, int64_t k, const Shares& shares) : tile(part), number(0), first(0), terms(k) {
    if (shares.count <= 1) return;
    tile = part % tiles, number = part / tiles;
    first = number * shares.depth;
    terms = k - first < shares.depth ? k - first : shares.depth;
  }
};

// add_shares turns a thread's sums over a share, Fm × Fn quads of them, into those over all of k,
// in the block that comes last of its tile's; it says whether this is the one. What others have
// left is read past the first-level cache, which knows nothing of it.
template <int Threads, int Fm, int Fn>
__device__ inline bool add_shares(const Shares& shares, const Share& share, float (&sums)[Fm][Fn][4]) {
  constexpr int kQuads = Fm * Fn;
  [[maybe_unused]] constexpr int kAhead = 8 / kQuads;  // shares that are read at once
  float4* first = reinterpret_cast<float4*>(shares.partial) + share.tile * shares.count * (kQuads * Threads) + threadIdx.x;
  float4* own = first + share.number * (kQuads * Threads);
#pragma unroll
  for (int q = 0; q < kQuads; ++q) {
    const float(&c)[4] = sums[q / Fn][q % Fn];
    own[q * Threads] = make_float4(c[0], c[1], c[2], c[3]);
  }
  if (!is_last(&shares.tickets[share.tile], uint32_t(shares.count))) return false;
#pragma unroll
  for (int q = 0; q < kQuads; ++q) {
    float(&c)[4] = sums[q / Fn][q % Fn];
    const float4 x = __ldcg(first + q * Threads);
    c[0] = x.x, c[1] = x.y, c[2] = x.z, c[3] = x.w;
  }
#pragma unroll kAhead
  for (int s = 1; s < int(shares.count); ++s) {
    first += kQuads * Threads;
#pragma unroll
    for (int q = 0; q < kQuads; ++q) {
      float(&c)[4] = sums[q / Fn][q % Fn];
      const float4 x = __ldcg(first + q * Threads);
      c[0] += x.x, c[1] += x.y, c[2] += x.z, c[3] += x.w;
    }
  }
  return true;
}

}  // namespace gpudae
