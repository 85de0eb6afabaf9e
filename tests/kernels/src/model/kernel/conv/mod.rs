pub mod cube;
#[allow(dead_code, reason = "the CPU's kernels use the rest")]
#[path = "../../../../../../src/model/kernel/conv/geometry.rs"]
mod geometry;

pub use geometry::Geometry;
