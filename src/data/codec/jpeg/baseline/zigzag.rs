//! The order of a block's coefficients: in a file, and in registers.

/// Coefficients of a block.
pub const SIZE: usize = 64;

/// Coefficients of a block, in the order of [`place`].
pub type Coefficients = [i16; SIZE];

/// Steps that coefficients were divided by, in the order of a file.
pub type Steps = [u16; SIZE];

/// Column and row of each coefficient, in the order that files have them.
const ZIGZAG: [(u8, u8); 64] = {
    let mut order = [(0, 0); 64];
    let (mut at, mut diagonal) = (0, 0);
    while diagonal < 15 {
        let first = if diagonal < 8 { 0 } else { diagonal - 7 };
        let mut step = first;
        while step <= diagonal - first {
            // Diagonals go up, then down, then up.
            order[at] =
                if diagonal % 2 == 0 { (step, diagonal - step) } else { (diagonal - step, step) };
            at += 1;
            step += 1;
        }
        diagonal += 1;
    }
    order
};

/// Where the coefficient of a column and row stands: rows 0 and 4, 1 and 5, … in pairs, column by
/// column, as registers multiply and add them.
pub const fn place(column: usize, row: usize) -> usize {
    row % 4 * 16 + column * 2 + row / 4
}

/// Place of each coefficient, and one that does not matter of what is behind the block.
pub const PLACES: [u8; 256] = {
    let mut places = [63; 256];
    let mut at = 0;
    while at < 64 {
        let (column, row) = ZIGZAG[at];
        places[at] = place(column as usize, row as usize) as u8;
        at += 1;
    }
    places
};

/// Steps in the order of [`place`].
pub fn placed(steps: &Steps) -> [i16; 64] {
    let mut placed = [0; 64];
    steps.iter().zip(PLACES).for_each(|(step, place)| placed[usize::from(place)] = *step as i16);
    placed
}
