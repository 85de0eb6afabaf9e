#[path = "../../../../../../src/model/kernel/cube/cube_sum.rs"]
pub mod cube_sum;
#[path = "../../../../../../src/model/kernel/cube/image.rs"]
mod image;
#[path = "../../../../../../src/model/kernel/cube/launch.rs"]
mod launch;
#[path = "../../../../../../src/model/kernel/cube/split.rs"]
pub mod split;
#[path = "../../../../../../src/model/kernel/cube/sums.rs"]
pub mod sums;
#[path = "../../../../../../src/model/kernel/cube/tile.rs"]
pub mod tile;

pub use image::Shape4;
pub use launch::{arg, cubes, floats, grid, over};
