//! numpy's arrays.

use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;

/// Bytes in a pickle.
#[derive(Debug, Clone)]
pub enum Bytes {
    /// A part of the file.
    File(Range<usize>),
    /// Bytes that text stood for, as text of Latin-1.
    Owned(Rc<Vec<u8>>),
}

impl Bytes {
    /// The bytes, of a file that holds `file`.
    pub fn of<'a>(&'a self, file: &'a [u8]) -> Option<&'a [u8]> {
        match self {
            Self::File(range) => file.get(range.clone()),
            Self::Owned(bytes) => Some(bytes),
        }
    }
}

/// A numpy array: its shape, its type and where its bytes are.
#[derive(Debug, Clone, Default)]
pub struct Array {
    /// Length of each side.
    pub shape: Vec<usize>,
    /// Kind and bytes of a number, such as `u1` or `i8`.
    pub dtype: String,
    /// Whether the most significant byte of a number is the first.
    pub big_endian: bool,
    /// Whether the first index changes fastest.
    pub fortran: bool,
    /// Its bytes; `None` where it is an array of objects.
    pub data: Option<Bytes>,
}

impl Array {
    /// Its bytes as they are stored, of a file that holds `file`.
    pub fn bytes<'a>(&'a self, file: &'a [u8]) -> Option<&'a [u8]> {
        self.data.as_ref()?.of(file)
    }

    /// Whole numbers, in the order of the array.
    pub fn integers(&self, file: &[u8]) -> Option<Vec<i64>> {
        let (signed, width) = match self.dtype.split_at_checked(1)? {
            ("i", width) => (true, width.parse::<usize>().ok()?),
            ("u" | "b", width) => (false, width.parse::<usize>().ok()?),
            _ => return None,
        };
        if !(1..=8).contains(&width) {
            return None;
        }
        let bytes = self.bytes(file)?;
        let bytes = if self.fortran {
            Cow::Owned(row_major(bytes, &self.shape, width)?)
        } else {
            bytes.into()
        };
        let number = |chunk: &[u8]| {
            let mut wide = [0; 8];
            wide[..width].copy_from_slice(chunk);
            if self.big_endian {
                wide[..width].reverse();
            }
            let shift = 64 - 8 * width as u32;
            let value = i64::from_le_bytes(wide) << shift;
            if signed { value >> shift } else { ((value as u64) >> shift) as i64 }
        };
        Some(bytes.chunks_exact(width).map(number).collect())
    }
}

/// Elements of `width` bytes in C order, of an array that has them in Fortran's.
pub fn row_major(bytes: &[u8], shape: &[usize], width: usize) -> Option<Vec<u8>> {
    let count = shape.iter().try_fold(1usize, |count, side| count.checked_mul(*side))?;
    if count.checked_mul(width)? != bytes.len() {
        return None;
    }
    // Step of each index in the stored order.
    let mut steps = Vec::with_capacity(shape.len());
    let mut step = 1;
    for side in shape {
        steps.push(step);
        step *= side;
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = vec![0; shape.len()];
    for _ in 0..count {
        let at: usize = index.iter().zip(&steps).map(|(index, step)| index * step).sum();
        out.extend_from_slice(&bytes[at * width..(at + 1) * width]);
        for (index, side) in index.iter_mut().zip(shape).rev() {
            *index += 1;
            if *index < *side {
                break;
            }
            *index = 0;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fortran_order_becomes_row_major() {
        // [[0, 1, 2], [3, 4, 5]] with two bytes a number.
        let stored: Vec<u8> =
            [0u16, 3, 1, 4, 2, 5].iter().flat_map(|it| it.to_le_bytes()).collect();
        let expected: Vec<u8> = (0u16..6).flat_map(u16::to_le_bytes).collect();
        assert_eq!(row_major(&stored, &[2, 3], 2), Some(expected));
        assert_eq!(row_major(&stored, &[2, 4], 2), None);
    }

    #[test]
    fn integers_of_either_byte_order_are_read() {
        let array = |dtype: &str, big_endian| Array {
            shape: vec![2],
            dtype: dtype.into(),
            big_endian,
            fortran: false,
            data: Some(Bytes::File(0..4)),
        };
        let file = [0xff, 0xfe, 0x00, 0x01];
        assert_eq!(array("i2", true).integers(&file), Some(vec![-2, 1]));
        assert_eq!(array("u2", false).integers(&file), Some(vec![0xfeff, 0x0100]));
        assert_eq!(array("f2", false).integers(&file), None);
    }
}
