//! The coefficients of a block.

use super::bits::Bits;
use super::huffman::{Code, END};
use super::zigzag::{Coefficients, SIZE};

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
