//! Huffman codes as tables: the next bits → a coefficient or two, and how many bits they took.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use super::zigzag::PLACES;

/// Bits that tables are looked up by: two tables of this size stay in a core's first cache.
const LOOKUP: u32 = 10;
/// Places that a symbol leaves out which ends the block: more than a block has.
pub const END: usize = 127;

/// Which coefficients a code is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The first of each block.
    Dc,
    /// The others.
    Ac,
}

/// One or two coefficients with all their bits: how many (8 bits), how far the first, what follows
/// and the second are (8 each), and the two values (16 each).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair(u64);

impl Pair {
    /// Of more bits than are looked at. Said to lead out of the block, as what does is looked at again.
    const UNKNOWN: Self = Self((END as u64) << 8);

    /// `first` and `second` are where the coefficients stand, from here.
    fn new(bits: u32, next: usize, [first, second]: [usize; 2], values: [i32; 2]) -> Self {
        let [one, other] = values.map(|it| u64::from(it as i16 as u16));
        let places = (first as u64) << 8 | (next as u64) << 16 | (second as u64) << 24;
        Self(u64::from(bits) | places | one << 32 | other << 48)
    }

    /// What [`super::bits::Bits::drop`] takes.
    #[inline(always)]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// How far the first one is.
    #[inline(always)]
    pub fn first(self) -> usize {
        (self.0 >> 8) as usize & 0xff
    }

    /// How far what follows is.
    #[inline(always)]
    pub fn next(self) -> usize {
        (self.0 >> 16) as usize & 0xff
    }

    /// How far the second one is.
    #[inline(always)]
    pub fn second(self) -> usize {
        (self.0 as u32 >> 24) as usize
    }

    /// The coefficients.
    #[inline(always)]
    pub fn values(self) -> [i16; 2] {
        [(self.0 >> 32) as i16, (self.0 >> 48) as i16]
    }
}

/// A code's symbol and the coefficient that follows: bits of both, of the coefficient, and the zeros
/// before it (8 each).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Symbol(u32);

impl Symbol {
    const fn new(length: u32, size: u32, run: u32) -> Self {
        Self((length + size) | size << 8 | run << 16)
    }

    /// What [`super::bits::Bits::drop`] takes.
    #[inline(always)]
    pub fn bits(self) -> u64 {
        self.0.into()
    }

    /// The coefficient at the front of 64 bits. Those that start with 0 are negative.
    #[inline(always)]
    pub fn value(self, word: u64) -> i32 {
        let size = self.0 >> 8 & 0xff;
        let field = word.wrapping_shr(self.0.wrapping_neg()) as u32 & !(u32::MAX << size);
        let half = 1u32 << size >> 1;
        // What negative values are short of.
        let shift = if field < half { (1 << size) - 1 } else { 0 };
        field as i32 - shift
    }

    /// Zeros before it.
    #[inline(always)]
    pub fn run(self) -> usize {
        (self.0 >> 16) as usize
    }

    /// Whether the bits are those of a symbol.
    #[inline(always)]
    pub fn is_some(self) -> bool {
        self.0 != 0
    }
}

/// A canonical Huffman code.
#[derive(Debug)]
pub struct Code {
    /// By the next bits.
    pairs: [Pair; 1 << LOOKUP],
    /// See [`place_of`](Self::place_of).
    places: [u8; 256],
    /// By the next bits; none where the code is longer.
    lookup: [Symbol; 1 << LOOKUP],
    /// For each length: the first code, left-aligned in 16 bits, that is longer.
    ends: [u32; 17],
    /// For each length: what is added to a code to give its place in `symbols`.
    offsets: [i32; 17],
    symbols: Vec<Symbol>,
}

thread_local! {
    /// The last codes that this thread read: nearly all files have the same four.
    static RECENT: RefCell<VecDeque<(Listed, Arc<Code>)>> = const { RefCell::new(VecDeque::new()) };
}
/// Codes that are kept.
const KEPT: usize = 8;

/// A code as a file lists it.
#[derive(PartialEq, Eq)]
struct Listed {
    kind: Kind,
    lengths: [u8; 16],
    symbols: Box<[u8]>,
}

impl Code {
    /// [`Code::new`], or the one that was made of the same before.
    pub fn cached(kind: Kind, lengths: &[u8; 16], symbols: &[u8]) -> Option<Arc<Self>> {
        RECENT.with_borrow_mut(|recent| {
            let is_same =
                |it: &Listed| it.kind == kind && it.lengths == *lengths && *it.symbols == *symbols;
            if let Some((_, code)) = recent.iter().find(|(listed, _)| is_same(listed)) {
                return Some(code.clone());
            }
            let code = Arc::new(Self::new(kind, lengths, symbols)?);
            recent.truncate(KEPT - 1);
            let listed = Listed { kind, lengths: *lengths, symbols: symbols.into() };
            recent.push_front((listed, code.clone()));
            Some(code)
        })
    }

    /// From the number of codes of each length and their symbols, as a file lists them. `None` where
    /// they make no code, or a symbol is none of baseline JPEG.
    pub fn new(kind: Kind, lengths: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut code = Self {
            pairs: [Pair::UNKNOWN; 1 << LOOKUP],
            places: PLACES,
            lookup: [Symbol::default(); 1 << LOOKUP],
            ends: [0; 17],
            offsets: [0; 17],
            symbols: Vec::with_capacity(symbols.len()),
        };
        let (mut next, mut listed) = (0u32, symbols.iter());
        for (length, count) in (1..).zip(lengths) {
            let count = u32::from(*count);
            // The code of ones alone stays free.
            if next + count >= 1 << length && count > 0 {
                return None;
            }
            code.offsets[length as usize] = code.symbols.len() as i32 - next as i32;
            for bits in next..next + count {
                let symbol = symbol(kind, length, *listed.next()?)?;
                code.symbols.push(symbol);
                if let Some(free) = LOOKUP.checked_sub(length) {
                    let first = (bits << free) as usize;
                    code.lookup[first..first + (1 << free)].fill(symbol);
                }
            }
            next += count;
            code.ends[length as usize] = next << (16 - length);
            next <<= 1;
        }
        if kind == Kind::Ac {
            code.find_pairs();
        }
        Some(code)
    }

    fn find_pairs(&mut self) {
        let one = |code: &Self, word: u64| {
            let symbol = code.lookup[(word >> (64 - LOOKUP)) as usize];
            let bits = symbol.0 & 0xff;
            symbol.is_some().then(|| (bits, symbol.run(), symbol.value(word)))
        };
        for bits in 0..1 << LOOKUP {
            let word = bits << (64 - LOOKUP);
            let Some((used, run, value)) = one(self, word) else { continue };
            let second = one(self, word << used).filter(|it| used + it.0 <= LOOKUP);
            self.pairs[bits as usize] = match second {
                _ if used > LOOKUP => continue,
                // Zeros are written where there are zeros.
                _ if run == END => Pair::new(used, END + 1, [0, 0], [0, 0]),
                Some((more, END, _)) => {
                    Pair::new(used + more, run + 1 + END + 1, [run, run + 1], [value, 0])
                }
                Some((more, zeros, other)) => {
                    let second = run + 1 + zeros;
                    Pair::new(used + more, second + 1, [run, second], [value, other])
                }
                None => Pair::new(used, run + 1, [run, run + 1], [value, 0]),
            };
        }
    }

    /// One coefficient or two at the front of 64 bits.
    #[inline(always)]
    pub fn pair(&self, word: u64) -> Pair {
        self.pairs[(word >> (64 - LOOKUP)) as usize]
    }

    /// The place of the coefficient that is number `at` in a file. Here because it is then found from
    /// where the pairs are.
    #[inline(always)]
    pub fn place_of(&self, at: usize) -> usize {
        usize::from(self.places[usize::from(at as u8)])
    }

    /// The symbol at the front of 64 bits, and none where there is no such code.
    #[inline(always)]
    pub fn symbol(&self, bits: u64) -> Symbol {
        let symbol = self.lookup[(bits >> (64 - LOOKUP)) as usize];
        if symbol.is_some() { symbol } else { self.longer(bits) }
    }

    /// Codes that the table does not hold are rare, and found one length at a time.
    #[cold]
    fn longer(&self, bits: u64) -> Symbol {
        let front = (bits >> 48) as u32;
        let length = (LOOKUP as usize + 1..17).find(|length| front < self.ends[*length]);
        let place = length.map(|length| (front >> (16 - length)) as i32 + self.offsets[length]);
        place
            .and_then(|it| self.symbols.get(usize::try_from(it).ok()?))
            .copied()
            .unwrap_or_default()
    }
}

fn symbol(kind: Kind, length: u32, byte: u8) -> Option<Symbol> {
    let (run, size) = (u32::from(byte >> 4), u32::from(byte & 15));
    match (kind, run, size) {
        (Kind::Dc, 0, 0..=11) => Some(Symbol::new(length, size, 0)),
        (Kind::Ac, 0, 0) => Some(Symbol::new(length, 0, END as u32)),
        (Kind::Ac, 15, 0) | (Kind::Ac, _, 1..=10) => Some(Symbol::new(length, size, run)),
        _ => None,
    }
}
