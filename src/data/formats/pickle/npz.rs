//! numpy's `.npz`: a zip of `.npy` arrays.

use std::io::{Cursor, Read};
use std::rc::Rc;
use std::sync::Arc;

use memmap2::Mmap;
use zip::{CompressionMethod, ZipArchive};

use super::array::{Array, Bytes};
use super::images::Images;

/// Most bytes of a compressed array. An uncompressed one stays in its file.
const MAX_UNPACKED: u64 = 8 << 30;

/// The images in a file: its array of four sides.
pub fn images(map: &Arc<Mmap>) -> Result<Images, String> {
    let mut archive = ZipArchive::new(Cursor::new(&map[..])).map_err(|error| error.to_string())?;
    let mut shapes = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|error| error.to_string())?;
        let mut head = Vec::new();
        entry.by_ref().take(1 << 16).read_to_end(&mut head).map_err(|error| error.to_string())?;
        let Some((mut array, start)) = header(&head) else { continue };
        if array.shape.len() != 4 {
            shapes.push(format!("{:?}", array.shape));
            continue;
        }
        let place = entry.data_start().ok_or("an entry has no place")? as usize;
        let size = entry.size();
        if entry.compression() == CompressionMethod::Stored {
            array.data = Some(Bytes::File(place + start..place + size as usize));
        } else {
            if size > MAX_UNPACKED {
                return Err(format!(
                    "its array has {size} bytes when unpacked; save it with `numpy.savez`, uncompressed"
                ));
            }
            let mut bytes = head.split_off(start);
            entry.take(size).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
            array.data = Some(Bytes::Owned(Rc::new(bytes)));
        }
        return Images::of_array(&array, map);
    }
    Err(format!("it has no array of images; its arrays have the shapes {}", shapes.join(", ")))
}

/// The array that a `.npy` file's header tells of, without bytes, and where they start.
fn header(file: &[u8]) -> Option<(Array, usize)> {
    let version = *file.strip_prefix(b"\x93NUMPY")?.first()?;
    let (length, start) = match version {
        1 => (usize::from(u16::from_le_bytes(file.get(8..10)?.try_into().ok()?)), 10),
        _ => (u32::from_le_bytes(file.get(8..12)?.try_into().ok()?) as usize, 12),
    };
    let end = start + length;
    let text = std::str::from_utf8(file.get(start..end)?).ok()?;
    // {'descr': '|u1', 'fortran_order': False, 'shape': (600, 84, 84, 3), }
    let after = |key: &str| Some(text.split_once(key)?.1.trim_start_matches([' ', ':']));
    let dtype = after("'descr'")?.strip_prefix('\'')?.split_once('\'')?.0;
    let shape = after("'shape'")?.strip_prefix('(')?.split_once(')')?.0;
    let sides = shape.split(',').map(str::trim).filter(|side| !side.is_empty());
    let array = Array {
        shape: sides.map(|side| side.parse().ok()).collect::<Option<_>>()?,
        dtype: dtype.trim_start_matches(['<', '|', '=', '>']).to_owned(),
        big_endian: dtype.starts_with('>'),
        fortran: after("'fortran_order'")?.starts_with("True"),
        data: None,
    };
    Some((array, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_and_damage_is_not() {
        let text = b"{'descr': '|u1', 'fortran_order': False, 'shape': (2, 4, 4, 3), }\n";
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((text.len() as u16).to_le_bytes());
        file.extend(text);
        let (array, start) = header(&file).expect("it is numpy's");
        assert_eq!(
            (array.shape, array.dtype.as_str(), start),
            (vec![2, 4, 4, 3], "u1", file.len())
        );
        for end in 0..file.len() {
            assert!(header(&file[..end]).is_none(), "{end}");
        }
    }
}
