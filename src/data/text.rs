//! Text files.

use std::fs;
use std::path::Path;

use crate::data::DataError;

/// Reads a text file: UTF-8, or UTF-16 with a byte order mark, which is taken off.
pub fn read_text(path: &Path) -> Result<String, DataError> {
    let bytes = fs::read(path).map_err(DataError::file("read", path))?;
    decode(&bytes).map_err(|reason| DataError::List { path: path.to_owned(), reason })
}

/// The text of a file's bytes: UTF-8, or UTF-16 with a byte order mark, which is taken off.
///
/// # Errors
/// The reason, with the line, when it is neither.
pub fn decode(bytes: &[u8]) -> Result<String, String> {
    let utf16 = |bytes: &[u8], number: fn([u8; 2]) -> u16| {
        let units = bytes.as_chunks::<2>().0.iter().map(|unit| number(*unit));
        char::decode_utf16(units)
            .collect::<Result<String, _>>()
            .map_err(|error| format!("its text is not UTF-16: {error}"))
    };
    match bytes {
        [0xff, 0xfe, text @ ..] => utf16(text, u16::from_le_bytes),
        [0xfe, 0xff, text @ ..] => utf16(text, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, text @ ..] | text => match std::str::from_utf8(text) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => {
                let line =
                    text[..error.valid_up_to()].iter().filter(|it| **it == b'\n').count() + 1;
                Err(format!("line {line} is not UTF-8; save the file as UTF-8"))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_order_marks_are_taken_off_and_other_encodings_named() {
        assert_eq!(decode("\u{feff}a,b".as_bytes()), Ok("a,b".into()));
        assert_eq!(decode(b"\xff\xfea\0,\0\xe9\0"), Ok("a,é".into()));
        assert_eq!(decode(b"\xfe\xff\0a\0,\0\xe9"), Ok("a,é".into()));
        assert_eq!(decode(b""), Ok(String::new()));
        let said = decode(b"a\ncaf\xe9\n").expect_err("it is Latin-1");
        assert!(said.contains("line 2"), "{said}");
    }
}
