// Sums by code, the first stage: a thread owns a feature of a chunk of vectors and adds into its own [K]
// column of `partial` [chunks, K, F], so no two threads meet and the order is fixed; it costs the same
// when all vectors share a code. columns.wgsl adds the chunks up.
//
// A file that uses this has `partial`, and in its params count, features, codes, chunks and:
//   clear    1: the columns start at zero, else they go on
//   first    the vectors of each chunk that this dispatch adds: from here,
//   end      up to here

// Vectors of a chunk.
fn share() -> u32 {
    return (params.count + params.chunks - 1u) / params.chunks;
}

// The vectors of a chunk that this dispatch adds.
fn first_of(chunk: u32) -> u32 {
    return chunk * share() + params.first;
}

fn end_of(chunk: u32) -> u32 {
    return min(chunk * share() + min(params.end, share()), params.count);
}

// Where feature f of a chunk's column begins, cleared if it is to be.
fn start_of_chunk(chunk: u32, f: u32) -> u32 {
    let base = chunk * params.codes * params.features + f;
    if (params.clear == 1u) {
        for (var k = 0u; k < params.codes; k++) { partial[base + k * params.features] = 0.0; }
    }
    return base;
}
