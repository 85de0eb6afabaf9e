//! The bytes of a pickle, from the first on.

use std::ops::Range;

/// A place in a file.
pub struct Input<'a> {
    /// The bytes of the whole file.
    pub file: &'a [u8],
    /// The next byte that is read.
    pub at: usize,
}

impl<'a> Input<'a> {
    /// Advances by `count` bytes and returns their range; an error at the end of the file.
    pub fn take(&mut self, count: usize) -> Result<Range<usize>, String> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.file.len());
        let range = self.at..end.ok_or("it is cut short")?;
        self.at = range.end;
        Ok(range)
    }

    /// Takes a little-endian number without sign.
    pub fn number(&mut self, width: usize) -> Result<u64, String> {
        let range = self.take(width)?;
        let mut wide = [0; 8];
        wide[..width].copy_from_slice(&self.file[range]);
        Ok(u64::from_le_bytes(wide))
    }

    /// The bytes up to the end of the line.
    pub fn line(&mut self) -> Result<&'a [u8], String> {
        let rest = &self.file[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or("it is cut short")?;
        self.at += end + 1;
        let line = &rest[..end];
        Ok(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// A line that is a name or a number.
    pub fn name(&mut self) -> Result<&'a str, String> {
        std::str::from_utf8(self.line()?).map_err(|_| "a name is not text".into())
    }
}
