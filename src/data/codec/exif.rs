//! The orientation in EXIF metadata, and nothing else of it.

/// Orientation of a JPEG, 1 to 8; 1 where there is none.
pub fn of_jpeg(file: &[u8]) -> u8 {
    let mut at = 2;
    // Segments are a marker and a length; metadata comes before the first scan.
    while let Some([0xff, marker, high, low]) = file.get(at..at + 4) {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let body = file.get(at + 4..at + 2 + length.max(2)).unwrap_or_default();
        match marker {
            0xe1 if body.starts_with(b"Exif\0\0") => return of_tiff(&body[6..]).unwrap_or(1),
            0xda | 0xd9 => break,
            _ => at += 2 + length.max(2),
        }
    }
    1
}

/// Orientation in a TIFF header, which is what EXIF is.
pub fn of_tiff(tiff: &[u8]) -> Option<u8> {
    let little = match tiff.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let u16_at = |at: usize| {
        let bytes = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let u32_at = |at: usize| {
        let bytes = tiff.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    let directory = u32_at(4)? as usize;
    let count = usize::from(u16_at(directory)?);
    (0..count).map(|index| directory + 2 + index * 12).find_map(|entry| {
        let value = u16_at(entry + 8)?;
        (u16_at(entry)? == 0x0112 && (1..=8).contains(&value)).then_some(value as u8)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tiff(orientation: u8, little: bool) -> Vec<u8> {
        let number = |value: u32, bytes: usize| -> Vec<u8> {
            let little_end = value.to_le_bytes()[..bytes].to_vec();
            if little { little_end } else { little_end.into_iter().rev().collect() }
        };
        let mut tiff = if little { b"II*\0".to_vec() } else { b"MM\0*".to_vec() };
        for (value, bytes) in
            [(8, 4), (1, 2), (0x0112, 2), (3, 2), (1, 4), (orientation.into(), 2), (0, 2), (0, 4)]
        {
            tiff.extend(number(value, bytes));
        }
        tiff
    }

    #[test]
    fn both_byte_orders_are_read() {
        for orientation in 1..=8 {
            for little in [true, false] {
                let tiff = tiff(orientation, little);
                assert_eq!(of_tiff(&tiff), Some(orientation));
                let mut jpeg = vec![0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xe1];
                jpeg.extend((tiff.len() as u16 + 8).to_be_bytes());
                jpeg.extend(b"Exif\0\0");
                jpeg.extend(tiff);
                assert_eq!(of_jpeg(&jpeg), orientation);
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            of_tiff(&bytes);
            prop_assert!((1..=8).contains(&of_jpeg(&bytes)));
        }
    }
}
