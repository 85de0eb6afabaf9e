//! How the product of two matrices is cut into tiles.

use cubecl::client::Client;
use cubecl::prelude::*;
use cubecl::std::{FastDivmod, FastDivmodExpand};

/// How a product of matrices is cut: a cube makes `rows × columns` outputs, `depth` products at a
/// time; a unit holds `unit_rows × unit_columns` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tile {
    pub rows: usize,
    pub columns: usize,
    pub depth: usize,
    pub unit_rows: usize,
    pub unit_columns: usize,
}

/// What is divided by.
#[cube]
pub fn divisor_of(divmod: &FastDivmod<usize>) -> usize {
    match divmod {
        FastDivmod::Fast { divisor, .. } => *divisor,
        FastDivmod::Fallback { divisor } => *divisor,
    }
}

impl Tile {
    /// Units of a cube.
    pub const fn units(&self) -> usize {
        (self.rows / self.unit_rows) * (self.columns / self.unit_columns)
    }

    /// The tile of a product with many rows and `columns` columns.
    pub fn of(client: &Client, columns: usize) -> Self {
        let wide = Self { rows: 128, columns: 64, depth: 16, unit_rows: 8, unit_columns: 4 };
        let narrow = Self { rows: 128, columns: 32, depth: 16, unit_rows: 4, unit_columns: 4 };
        if columns <= narrow.columns { narrow.on(client) } else { wide.on(client) }
    }

    /// The tile of a product as small as the weights.
    pub fn of_weights(client: &Client) -> Self {
        Self { rows: 64, columns: 64, depth: 16, unit_rows: 4, unit_columns: 4 }.on(client)
    }

    /// This tile, or one that fits the device: a cube of a CPU has as many units as there are cores.
    fn on(self, client: &Client) -> Self {
        let one_unit = Self { rows: 8, columns: 8, depth: 8, unit_rows: 8, unit_columns: 8 };
        let most = client.properties().hardware.max_units_per_cube as usize;
        if self.units() <= most { self } else { one_unit }
    }
}
