//! The JPEGs that nearly all are, decoded faster than the library does: baseline (ITU-T T.81), one scan,
//! grey or YCbCr.
//!
//! Pixels are those of libjpeg-turbo, to the bit. What is out of the ordinary or damaged in any way
//! is not decoded here but left to the library, which says what is wrong with it. Half of decoding is
//! finding where each code ends, and no code can be looked at before the last one's end is known: a
//! table gives the bits of code and coefficient together, so that the next code waits for one look-up
//! and one shift.

mod bits;
mod block;
mod colour;
mod decoder;
mod header;
mod huffman;
mod idct;
mod kernels;
mod plane;
mod rows;
mod zigzag;

use std::ops::Range;

pub use kernels::are_wide as is_worth_while;

use bits::Scan;
use decoder::Decoder;
use header::Header;

/// An image whose header is read.
pub struct Baseline {
    header: Header,
}

impl Baseline {
    /// Reads the header; `None` for what the library must decode.
    pub fn open(file: &[u8]) -> Option<Self> {
        Header::read(file).map(|header| Self { header })
    }

    /// Pixels from left to right.
    pub fn width(&self) -> usize {
        self.header.width
    }

    /// Pixels from top to bottom.
    pub fn height(&self) -> usize {
        self.header.height
    }

    /// Decodes the rows and columns of a region; `row` is given each, `[columns, PIXEL]`, from the top.
    /// `None` where the library must decode them, or what is left of them: how many rows were given
    /// is for the caller to count.
    pub fn region(
        &self,
        file: &[u8],
        columns: Range<usize>,
        rows: Range<usize>,
        row: &mut dyn FnMut(usize, &[u8]),
    ) -> Option<()> {
        let scan = Scan::new(file.get(self.header.scan..)?)?;
        Decoder::new(&self.header, &scan, columns, rows).run(row)
    }

    /// The same on a processor without wide registers.
    #[cfg(test)]
    pub fn region_plain(
        &self,
        file: &[u8],
        columns: Range<usize>,
        rows: Range<usize>,
        row: &mut dyn FnMut(usize, &[u8]),
    ) -> Option<()> {
        let scan = Scan::new(file.get(self.header.scan..)?)?;
        Decoder::new(&self.header, &scan, columns, rows).run_with::<kernels::Plain>(row)
    }
}
