// draws.cuh: where the draws of a row come from, for the operations that draw
// for a column by its number.
#pragma once

#include "philox.cuh"
#include "vector.cuh"

namespace gpudae {

// Draws is what these operations are launched with, beside their operands.
struct Draws {
  uint64_t seed, stream, stage;
  int64_t replicates;
  const uint32_t *index, *clock;  // clock null: step 0

  // at addresses a block of a row of the minibatch, at draw 0.
  __device__ Coordinates at(int64_t row, int64_t block) const {
    return {uint32_t(stream), uint32_t(stage), uint32_t(row) % uint32_t(replicates), 0, clock ? clock[kClockStep] : 0, index[row], uint32_t(block)};
  }
};

// normal_quad is philox.NormalLane of each lane.
__device__ inline Quad normal_quad(const Block& words) {
  const NormalPair first = normal(words.word[0], words.word[1]), second = normal(words.word[2], words.word[3]);
  return {{first.z0, first.z1, second.z0, second.z1}};
}

}  // namespace gpudae
