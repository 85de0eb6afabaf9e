use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::layout::{HEADER, MAGIC, VERSION, four};
use crate::atomic_file::AtomicFile;
use crate::data::{DataError, ImageShape, Split};

/// Writes a pack image after image. The file takes its name when it is complete.
pub struct PackWriter {
    path: PathBuf,
    file: BufWriter<AtomicFile>,
    shape: ImageShape,
    ink_is_dark: bool,
    sums: Vec<u8>,
    index: Vec<u8>,
    open_class: Option<(Split, String, usize)>,
    images: u64,
}

impl PackWriter {
    /// Starts a pack of images of one shape.
    pub fn create(path: &Path, shape: ImageShape, ink_is_dark: bool) -> Result<Self, DataError> {
        let file = AtomicFile::create(path).map_err(DataError::file("create", path))?;
        let mut writer = Self {
            path: path.to_owned(),
            file: BufWriter::with_capacity(1 << 20, file),
            shape,
            ink_is_dark,
            sums: Vec::new(),
            index: Vec::new(),
            open_class: None,
            images: 0,
        };
        writer.write(&[0; HEADER])?;
        Ok(writer)
    }

    /// Adds an image; those of a class come one after the other.
    pub fn add(
        &mut self,
        split: Split,
        class: &str,
        name: &str,
        pixels: &[u8],
    ) -> Result<(), DataError> {
        assert_eq!(pixels.len(), self.shape.values(), "an image of the pack's shape");
        let same = self.open_class.as_ref().is_some_and(|(s, c, _)| *s == split && c == class);
        if !same {
            self.index.push(Split::ALL.iter().position(|it| *it == split).unwrap_or(0) as u8);
            self.push_text(class)?;
            self.open_class = Some((split, class.to_owned(), self.index.len()));
            self.index.extend(0u32.to_le_bytes());
        }
        if let Some((_, _, at)) = &self.open_class {
            let count = u32::from_le_bytes(four(&self.index[*at..])) + 1;
            self.index[*at..*at + 4].copy_from_slice(&count.to_le_bytes());
        }
        self.push_text(name)?;
        self.sums.extend(crc32fast::hash(pixels).to_le_bytes());
        self.images += 1;
        self.write(pixels)
    }

    fn push_text(&mut self, text: &str) -> Result<(), DataError> {
        let length = u16::try_from(text.len()).map_err(|_| {
            let start: String = text.chars().take(40).collect();
            DataError::archive(&self.path, format!("the name {start}… is too long"))
        })?;
        self.index.extend(length.to_le_bytes());
        self.index.extend(text.as_bytes());
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), DataError> {
        self.file.write_all(bytes).map_err(DataError::file("write", &self.path))
    }

    /// Writes the index and the header, and gives the pack its name. Returns its bytes.
    pub fn finish(mut self) -> Result<u64, DataError> {
        let (sums, index) = (std::mem::take(&mut self.sums), std::mem::take(&mut self.index));
        self.write(&sums)?;
        self.write(&index)?;
        let start = HEADER as u64 + self.images * (self.shape.values() as u64 + 4);
        let mut header = Vec::with_capacity(HEADER);
        header.extend(MAGIC);
        header.extend(VERSION.to_le_bytes());
        for side in [self.shape.channels, self.shape.height, self.shape.width] {
            header.extend((side as u32).to_le_bytes());
        }
        header.extend(u32::from(self.ink_is_dark).to_le_bytes());
        header.extend([0; 4]);
        for number in [self.images, start, index.len() as u64] {
            header.extend(number.to_le_bytes());
        }
        header.extend(crc32fast::hash(&index).to_le_bytes());
        header.extend(crc32fast::hash(&header).to_le_bytes());
        let Self { path, mut file, .. } = self;
        file.seek(SeekFrom::Start(0))
            .and_then(|_| file.write_all(&header))
            .and_then(|()| file.into_inner().map_err(std::io::IntoInnerError::into_error))
            .and_then(AtomicFile::commit)
            .map_err(DataError::file("write", &path))?;
        Ok(start + index.len() as u64)
    }
}
