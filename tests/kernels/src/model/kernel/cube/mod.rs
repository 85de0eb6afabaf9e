#[path = "../../../../../../src/model/kernel/cube/image.rs"]
mod image;
#[path = "../../../../../../src/model/kernel/cube/launch.rs"]
mod launch;
#[path = "../../../../../../src/model/kernel/cube/sums.rs"]
pub mod sums;

pub use image::Shape4;
pub use launch::{arg, floats, grid, over};
