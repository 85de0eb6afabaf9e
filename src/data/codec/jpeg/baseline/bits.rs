//! The scan's data as bits.

use std::ops::Range;

use memchr::memchr;

/// Zeros after the data, so that whole words can be read at their end.
const PADDING: usize = 16;
/// Bits that are there after a refill, at least.
pub const WORD: u64 = 56;

/// A scan's data without the zeros that mark a byte of ones, in parts between restart markers.
pub struct Scan {
    bytes: Vec<u8>,
    parts: Vec<Range<usize>>,
}

impl Scan {
    /// From the start of a scan's data. `None` where no marker ends them, one is filled up, or
    /// restart markers are out of order.
    pub fn new(data: &[u8]) -> Option<Self> {
        let mut scan = Self { bytes: Vec::with_capacity(data.len() + PADDING), parts: Vec::new() };
        let (mut rest, mut start) = (data, 0);
        loop {
            let ones = memchr(0xff, rest)?;
            scan.bytes.extend_from_slice(&rest[..ones]);
            let marker = *rest.get(ones + 1)?;
            rest = &rest[ones + 2..];
            if marker == 0 {
                scan.bytes.push(0xff);
                continue;
            }
            if marker == 0xff {
                return None;
            }
            let end = scan.bytes.len();
            scan.bytes.extend([0; PADDING]);
            scan.parts.push(start..end);
            start = scan.bytes.len();
            if !(0xd0..=0xd7).contains(&marker) {
                return Some(scan);
            }
            if usize::from(marker - 0xd0) != (scan.parts.len() - 1) % 8 {
                return None;
            }
        }
    }

    /// The bits of a part.
    pub fn part(&self, part: usize) -> Option<Bits<'_>> {
        let Range { start, end } = self.parts.get(part)?.clone();
        Some(Bits { rest: &self.bytes[start..end + PADDING], word: 0, count: 0 })
    }
}

/// Bits, the first in front.
#[derive(Default)]
pub struct Bits<'a> {
    /// What is not in `word` yet, and the padding.
    rest: &'a [u8],
    /// The next bits, left-aligned.
    word: u64,
    /// In its six low bits, how many of them have been counted. What is behind them is right too, but
    /// will be read again.
    count: u64,
}

impl Bits<'_> {
    /// The next bits, left-aligned: [`WORD`] after a refill, less what was dropped since.
    #[inline(always)]
    pub fn word(&self) -> u64 {
        self.word
    }

    /// Goes on by as many bits as the six low ones of `bits` say; by [`WORD`] in all since the last
    /// refill. What else is in `bits` does not matter, so that nobody has to cut it off.
    #[inline(always)]
    pub fn drop(&mut self, bits: u64) {
        self.word = self.word.wrapping_shl(bits as u32);
        self.count = self.count.wrapping_sub(bits);
    }

    /// Makes [`WORD`] bits ready, but for the last ones of the padding.
    #[inline(always)]
    pub fn refill(&mut self) {
        if let Some(bytes) = self.rest.first_chunk() {
            self.word |= u64::from_be_bytes(*bytes).wrapping_shr(self.count as u32);
            self.rest = &self.rest[(!self.count >> 3) as usize % 8..];
            self.count |= WORD;
        }
    }

    /// Bits that are left; negative when more were dropped than there are.
    pub fn left(&self) -> isize {
        (self.rest.len() as isize - PADDING as isize) * 8 + (self.count % 64) as isize
    }
}
