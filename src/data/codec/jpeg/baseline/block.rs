//! The coefficients of a block.

use super::bits::Bits;
use super::header::Steps;
use super::huffman::{Code, END};

/// Coefficients of a block.
pub const SIZE: usize = 64;

/// Coefficients of a block, in the order of [`place`].
pub type Coefficients = [i16; SIZE];

/// A block to read, with room for every place that a byte can name.
pub struct Block([i16; 256]);

impl Block {
    /// Of zeros.
    pub fn new() -> Self {
        Self([0; 256])
    }

    /// Makes it zeros.
    #[inline(always)]
    pub fn clear(&mut self) {
        self.0[..SIZE].fill(0);
    }

    /// Its coefficients.
    #[inline(always)]
    pub fn coefficients(&self) -> &Coefficients {
        self.0.first_chunk().expect("a block is shorter than its room")
    }
}

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

/// How much of a block is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The first coefficient alone.
    Flat,
    /// More.
    Full,
}

/// Reads a block's coefficients, which must be zeros; `mean` is the first one of the block before.
/// `None` where the bits are those of no block.
#[inline(always)]
pub fn read(
    bits: &mut Bits,
    dc: &Code,
    ac: &Code,
    mean: &mut i32,
    block: &mut Block,
) -> Option<Extent> {
    bits.refill();
    let symbol = dc.symbol(bits.word());
    if !symbol.is_some() {
        return None;
    }
    *mean += symbol.value(bits.word());
    bits.drop(symbol.bits());
    block.0[0] = i16::try_from(*mean).ok()?;
    let mut at = 1;
    loop {
        bits.refill();
        // Pairs have 10 bits at most, and what has more is seen to by itself.
        if next(bits, ac, &mut at, block)?
            || next(bits, ac, &mut at, block)?
            || next(bits, ac, &mut at, block)?
            || next(bits, ac, &mut at, block)?
        {
            break;
        }
    }
    match at {
        SIZE => Some(Extent::Full),
        // The symbol that ends a block leads far out of it.
        _ if at == 1 + END + 1 => Some(Extent::Flat),
        _ if at > END => Some(Extent::Full),
        _ => None,
    }
}

/// Reads a coefficient or two, and says whether the block ends there.
#[inline(always)]
fn next(bits: &mut Bits, ac: &Code, at: &mut usize, block: &mut Block) -> Option<bool> {
    let pair = ac.pair(bits.word());
    let first = *at + pair.first();
    if first < SIZE - 1 {
        let [value, other] = pair.values();
        block.0[ac.place_of(first)] = value;
        block.0[ac.place_of(*at + pair.second())] = other;
        bits.drop(pair.bits());
        *at += pair.next();
        return Some(*at >= SIZE);
    }
    // The first is the last, and a second would be the next block's; or they are not known.
    bits.refill();
    let symbol = ac.symbol(bits.word());
    if !symbol.is_some() {
        return None;
    }
    block.0[ac.place_of(*at + symbol.run())] = symbol.value(bits.word()) as i16;
    bits.drop(symbol.bits());
    bits.refill();
    *at += symbol.run() + 1;
    Some(*at >= SIZE)
}
