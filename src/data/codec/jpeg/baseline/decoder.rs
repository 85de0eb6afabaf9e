//! A scan's bits → rows of pixels.

use std::ops::Range;

use super::bits::{Bits, Scan};
use super::block::{self, Block, Extent};
use super::header::{Component, Header};
#[cfg(target_arch = "x86_64")]
use super::kernels::Wide;
use super::kernels::{Kernels, Plain};
use super::plane::Plane;
use super::rows::RowMaker;
use super::{idct, kernels, zigzag};

/// Columns and rows of a block.
const SIDE: usize = 8;

/// Where a block of an MCU lies in its component's.
struct Place {
    component: usize,
    x: usize,
    y: usize,
}

/// Decodes a region, MCU row by MCU row.
pub struct Decoder<'a> {
    header: &'a Header,
    scan: &'a Scan,
    rows: Range<usize>,
    /// MCUs of a row, and those of them whose samples are needed.
    across: usize,
    needed: Range<usize>,
    /// Rows of an MCU.
    height: usize,
    /// The blocks of an MCU.
    order: Vec<Place>,
    planes: Vec<Plane>,
    steps: Vec<zigzag::Coefficients>,
    /// First coefficients of the last block of each component.
    means: Vec<i32>,
    bits: Bits<'a>,
    /// Parts of the scan begun, and MCUs left in the last.
    parts: usize,
    left: usize,
    maker: RowMaker,
}

impl<'a> Decoder<'a> {
    /// For a region.
    pub fn new(
        header: &'a Header,
        scan: &'a Scan,
        columns: Range<usize>,
        rows: Range<usize>,
    ) -> Self {
        let luma = &header.components[0];
        let (width, height) = (SIDE * luma.across, SIDE * luma.down);
        let across = header.width.div_ceil(width);
        // A pixel's chroma comes from its neighbours too.
        let first = columns.start.saturating_sub(luma.across) / width;
        let needed = first..(columns.end + luma.across).div_ceil(width).min(across);
        let planes = |it: &Component| {
            let (width, height) = (SIDE * it.across, SIDE * it.down);
            // The MCU row in the making, and of the one before it what waits for its chroma.
            Plane::new(needed.start * width, needed.len() * width, 2 * height)
        };
        let planes: Vec<Plane> = header.components.iter().map(planes).collect();
        let places = header.components.iter().enumerate().flat_map(|(component, it)| {
            (0..it.down * it.across).map(move |at| Place {
                component,
                x: at % it.across,
                y: at / it.across,
            })
        });
        Self {
            order: places.collect(),
            header,
            scan,
            across,
            height,
            steps: header.components.iter().map(|it| zigzag::placed(&it.steps)).collect(),
            means: vec![0; header.components.len()],
            bits: Bits::default(),
            parts: 0,
            left: 0,
            maker: RowMaker::new(header, columns),
            planes,
            needed,
            rows,
        }
    }

    /// Gives each row of the region to `row`, from the top. `None` where the data are not as they must
    /// be.
    pub fn run(&mut self, row: &mut dyn FnMut(usize, &[u8])) -> Option<()> {
        #[cfg(target_arch = "x86_64")]
        if kernels::are_wide() {
            // SAFETY: the processor has what the function is compiled for.
            return unsafe { self.run_wide(row) };
        }
        self.run_with::<Plain>(row)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn run_wide(&mut self, row: &mut dyn FnMut(usize, &[u8])) -> Option<()> {
        self.run_with::<Wide>(row)
    }

    #[inline(always)]
    pub fn run_with<K: Kernels>(&mut self, row: &mut dyn FnMut(usize, &[u8])) -> Option<()> {
        let count = self.header.height.div_ceil(self.height);
        // Rows above it serve as neighbours.
        let first = self.rows.start.saturating_sub(self.height / SIDE) / self.height;
        let mut next = self.rows.start;
        for mcu_row in 0..count {
            self.decode_row::<K>(mcu_row, mcu_row >= first)?;
            // The last rows of chroma wait for a neighbour below.
            let is_last = mcu_row + 1 == count;
            let waiting = if is_last { 0 } else { self.height / SIDE };
            let end = ((mcu_row + 1) * self.height - waiting).min(self.rows.end);
            for y in next..end {
                row(y, self.maker.make::<K>(&self.planes, y));
            }
            next = next.max(end);
            if next == self.rows.end {
                break;
            }
        }
        Some(())
    }

    /// Decodes a row of MCUs.
    #[inline(always)]
    fn decode_row<K: Kernels>(&mut self, mcu_row: usize, is_needed: bool) -> Option<()> {
        let mut bits = std::mem::take(&mut self.bits);
        let mut blocks: [Block; 6] = std::array::from_fn(|_| Block::new());
        let mut extents = [Extent::Flat; 6];
        for mcu in 0..self.across {
            if self.left == 0 {
                bits = self.restart(&bits)?;
            }
            self.left -= 1;
            let read = blocks.iter_mut().zip(&mut extents);
            for ((block, extent), place) in read.zip(&self.order) {
                let Component { dc, ac, .. } = &self.header.components[place.component];
                let mean = &mut self.means[place.component];
                block.clear();
                *extent = block::read(&mut bits, dc, ac, mean, block)?;
            }
            // Not each right after it was read: a register cannot be loaded from values that are on
            // their way to the cache one by one.
            if is_needed && self.needed.contains(&mcu) {
                for at in 0..self.order.len() {
                    self.transform::<K>(at, &blocks[at], extents[at], mcu, mcu_row)?;
                }
            }
        }
        if bits.left() < 0 {
            return None;
        }
        self.bits = bits;
        Some(())
    }

    /// Makes the samples of a block.
    #[inline(always)]
    fn transform<K: Kernels>(
        &mut self,
        at: usize,
        block: &Block,
        extent: Extent,
        mcu: usize,
        mcu_row: usize,
    ) -> Option<()> {
        let Place { component, x, y } = self.order[at];
        let Component { across, down, .. } = self.header.components[component];
        let (steps, plane) = (&self.steps[component], &mut self.planes[component]);
        let stride = plane.stride();
        let pixels = plane.block(SIDE * (mcu * across + x), SIDE * (mcu_row * down + y));
        let coefficients = block.coefficients();
        let is_fine = match extent {
            Extent::Flat => idct::flat(coefficients[0], steps[0], pixels, stride),
            Extent::Full => K::transform(coefficients, steps, pixels, stride),
        };
        is_fine.then_some(())
    }

    /// Goes on behind the next restart marker.
    #[cold]
    fn restart(&mut self, last: &Bits) -> Option<Bits<'a>> {
        // The last byte is filled up. More would be a block too many.
        if self.parts > 0 && !(0..8).contains(&last.left()) {
            return None;
        }
        self.means.fill(0);
        self.left = match self.header.restart_interval {
            0 => usize::MAX,
            interval => interval,
        };
        self.parts += 1;
        self.scan.part(self.parts - 1)
    }
}
