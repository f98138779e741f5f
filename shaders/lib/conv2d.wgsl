// What the convolution's two files share: the uniform, and reading x with zeros around it.

override K: u32 = 3u;           // kernel size
override TILE: u32 = OCTET;     // output channels of a thread, min(O, OCTET): the rest of a tile is dead code

// Size of y where threads are dealt out to it: divisions by constants are cheap.
override HEIGHT: u32 = 1u;
override WIDTH: u32 = 1u;

// 2: x has half the height and width, and each of its pixels stands for two by two. in_height and
// in_width count the pixels that the kernel sees.
override UP: u32 = 1u;

struct Params {
    batch: u32,
    in_channels: u32,           // C
    in_height: u32,
    in_width: u32,
    out_channels: u32,          // O
    out_height: u32,
    out_width: u32,
    stride: u32,
    padding: u32,
    w_out: u32,                 // step in w from one output channel to the next
    w_in: u32,                  // step in w from one input channel to the next
    flip: u32,                  // 1: read the kernel backwards
    has_bias: u32,
    chunks: u32,                // backward to weights: workgroups that share the positions
    lanes: u32,                 // backward_weight_rows: input channels side by side
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;

const THREADS: u32 = 64u;
const OCTET: u32 = 8u;          // most output channels of a thread

// Elements of a channel of x.
fn plane_size() -> u32 {
    return (params.in_height / UP) * (params.in_width / UP);
}

// A pixel of x, zero outside the image; `plane` is the index of its channel's first pixel.
fn pixel(plane: u32, i: i32, j: i32) -> f32 {
    let inside = i >= 0 && i < i32(params.in_height) && j >= 0 && j < i32(params.in_width);
    let index = plane + (u32(i) / UP) * (params.in_width / UP) + u32(j) / UP;
    return select(0.0, x[select(0u, index, inside)], inside);
}

// Six neighbours of a row: what a tile of four needs for a kernel of three.
struct Row {
    v: vec4<f32>,
    e: vec2<f32>,
}

// Where they lie, once for all rows: columns (kept inside) and whether they exist.
struct Columns {
    v: vec4<u32>,
    e: vec2<u32>,
    has_v: vec4<bool>,
    has_e: vec2<bool>,
}

fn columns_from(left: i32, width: u32) -> Columns {
    let v = vec4(left) + vec4(0, 1, 2, 3);
    let e = vec2(left) + vec2(4, 5);
    let last = i32(width) - 1;
    return Columns(
        vec4<u32>(clamp(v, vec4(0), vec4(last))), vec2<u32>(clamp(e, vec2(0), vec2(last))),
        (v >= vec4(0)) & (v <= vec4(last)), (e >= vec2(0)) & (e <= vec2(last)),
    );
}

// A row where UP is 1.
fn load_row(plane: u32, i: i32, c: Columns) -> Row {
    let inside = i >= 0 && i < i32(params.in_height);
    let at = plane + u32(clamp(i, 0, i32(params.in_height) - 1)) * params.in_width;
    let v = vec4(x[at + c.v.x], x[at + c.v.y], x[at + c.v.z], x[at + c.v.w]);
    let e = vec2(x[at + c.e.x], x[at + c.e.y]);
    return Row(
        select(vec4(0.0), v, c.has_v & vec4(inside)),
        select(vec2(0.0), e, c.has_e & vec2(inside)),
    );
}

// The columns that a tile from column j on needs. With UP = 2 (and padding 1), four of the small
// image make the six.
fn columns_of(j: u32) -> Columns {
    let left = select(i32(j) - i32(params.padding), i32(j) / 2 - 1, UP == 2u);
    return columns_from(left, params.in_width / UP);
}

// A row of the small image, its columns -1, 0, 1, 2 as -1, 0, 0, 1, 1, 2.
fn load_doubled(plane: u32, i: i32, c: Columns) -> Row {
    let height = i32(params.in_height / 2u);
    let inside = i >= 0 && i < height;
    let at = plane + u32(clamp(i, 0, height - 1)) * (params.in_width / 2u);
    let v = select(vec4(0.0), vec4(x[at + c.v.x], x[at + c.v.y], x[at + c.v.z], x[at + c.v.w]), c.has_v & vec4(inside));
    return Row(vec4(v.x, v.y, v.y, v.z), vec2(v.z, v.w));
}

// The row four columns to the right of `left`, with which it shares two; `c` are its own columns. With
// UP = 2 it begins two columns of the small image further right.
fn load_beside(plane: u32, i: i32, c: Columns, left: Row) -> Row {
    let height = i32(params.in_height / UP);
    let inside = i >= 0 && i < height;
    let at = plane + u32(clamp(i, 0, height - 1)) * (params.in_width / UP);
    let z = select(0.0, x[at + c.v.z], c.has_v.z && inside);
    let w = select(0.0, x[at + c.v.w], c.has_v.w && inside);
    if (UP == 2u) { return Row(vec4(left.e, left.e.y, z), vec2(z, w)); }
    let e = select(vec2(0.0), vec2(x[at + c.e.x], x[at + c.e.y]), c.has_e & vec2(inside));
    return Row(vec4(left.e, z, w), e);
}
