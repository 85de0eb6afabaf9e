//! A data set in one file, at one size, read in place.
//!
//! ```text
//! header (64 bytes) · pixels, image after image, [channels, height, width] · CRC-32 of each image · index
//! ```
//! Numbers are little-endian. The index holds the splits, classes and names; its CRC-32 and the
//! header's are checked at opening, an image's when it is read.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use memmap2::{Advice, Mmap};

use super::formats::{Item, Listing};
use super::source::ItemFile;
use super::{DataError, ImageShape, Split};

const MAGIC: &[u8; 8] = b"fsctpack";
/// Version of the layout.
const VERSION: u32 = 1;
const HEADER: usize = 64;

/// Whether a file starts as a pack does.
pub fn is_pack(path: &Path) -> bool {
    let mut magic = [0; 8];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && &magic == MAGIC
}

/// An open pack.
#[derive(Debug)]
pub struct Pack {
    path: PathBuf,
    map: Mmap,
    shape: ImageShape,
    count: usize,
    ink_is_dark: bool,
    index: std::ops::Range<usize>,
    /// Whether an image's checksum has been found right.
    checked: Vec<AtomicU8>,
}

impl Pack {
    /// Opens a pack; its images are read when they are used.
    ///
    /// # Errors
    /// When it is no pack, of another version, cut short, or its index is damaged.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let damaged = |reason: String| DataError::Archive { path: path.to_owned(), reason };
        let file = File::open(path).map_err(DataError::file("open", path))?;
        // SAFETY: a pack is replaced by a rename and never changed in place by fsct; should another
        // program cut it short while it is in use, reading it ends the process, as with any map.
        let map = unsafe { Mmap::map(&file) }.map_err(DataError::file("map", path))?;
        let header =
            map.get(..HEADER).ok_or_else(|| damaged("it is shorter than a header".into()))?;
        if &header[..8] != MAGIC {
            return Err(damaged("it is no pack of fsct".into()));
        }
        let u32_at = |at: usize| u32::from_le_bytes(four(&header[at..]));
        let u64_at = |at: usize| u64::from_le_bytes(eight(&header[at..])) as usize;
        if u32_at(8) != VERSION {
            return Err(damaged(format!("its version is {}, and {VERSION} is read", u32_at(8))));
        }
        if u32_at(60) != crc32fast::hash(&header[..60]) {
            return Err(damaged("its header is damaged".into()));
        }
        let shape = ImageShape {
            channels: u32_at(12) as usize,
            height: u32_at(16) as usize,
            width: u32_at(20) as usize,
        };
        let (count, index, length) = (u64_at(32), u64_at(40), u64_at(48));
        let sides = [shape.width, shape.height];
        if !matches!(shape.channels, 1 | 3)
            || sides.iter().any(|side| !(1..=1 << 16).contains(side))
        {
            return Err(damaged(format!("its images are said to be {shape:?}")));
        }
        let expected = count.checked_mul(shape.values() + 4).and_then(|it| it.checked_add(HEADER));
        if expected != Some(index) || index.checked_add(length) != Some(map.len()) {
            return Err(damaged("it is cut short, or longer than it says".into()));
        }
        if crc32fast::hash(&map[index..]) != u32_at(56) {
            return Err(damaged("its index is damaged".into()));
        }
        // Episodes jump: reading ahead would fill the memory with images that nobody asked for.
        let _ = map.advise(Advice::Random);
        Ok(Self {
            path: path.to_owned(),
            shape,
            count,
            ink_is_dark: u32_at(24) & 1 == 1,
            index: index..index + length,
            checked: (0..count).map(|_| AtomicU8::new(0)).collect(),
            map,
        })
    }

    /// Shape of its images.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// Bytes of an image, `[channels, height, width]`.
    pub fn pixels(&self, image: usize) -> Result<&[u8], String> {
        let values = self.shape.values();
        let start = HEADER + image * values;
        let pixels = &self.map[start..start + values];
        if self.checked[image].load(Ordering::Relaxed) == 0 {
            let at = HEADER + self.count * values + 4 * image;
            if crc32fast::hash(pixels) != u32::from_le_bytes(four(&self.map[at..])) {
                return Err(format!("its checksum is wrong in {}", self.path.display()));
            }
            self.checked[image].store(1, Ordering::Relaxed);
        }
        Ok(pixels)
    }

    /// Where its classes and names are.
    ///
    /// # Errors
    /// When the index is not one that fsct writes.
    pub fn contents(&self) -> Result<Contents, DataError> {
        let damaged = || DataError::Archive {
            path: self.path.clone(),
            reason: "its index is not one that fsct writes".into(),
        };
        let whole = &self.map[self.index.clone()];
        let mut index = whole;
        let mut contents = Contents { classes: Vec::new(), names: Vec::with_capacity(self.count) };
        while !index.is_empty() {
            let (split, name, images) = (|| {
                let split = *take(&mut index, 1)?.first()?;
                let class = text(&mut index)?;
                let images = u32::from_le_bytes(four(take(&mut index, 4)?)) as usize;
                Some((*Split::ALL.get(usize::from(split))?, class.to_owned(), images))
            })()
            .ok_or_else(damaged)?;
            let first = contents.names.len();
            for _ in 0..images {
                contents.names.push(whole.len() - index.len());
                text(&mut index).ok_or_else(damaged)?;
            }
            contents.classes.push(PackedClass { split, name, images: first..first + images });
        }
        if contents.names.len() != self.count {
            return Err(damaged());
        }
        Ok(contents)
    }

    /// The name that stands at a place of [`Contents::names`].
    pub fn name(&self, place: usize) -> &str {
        let mut index = &self.map[self.index.start + place..self.index.end];
        text(&mut index).unwrap_or_default()
    }

    /// Its images by class.
    ///
    /// # Errors
    /// When the index is not one that fsct writes.
    pub fn listing(self: Arc<Self>) -> Result<Listing, DataError> {
        let contents = self.contents()?;
        let mut items = Vec::with_capacity(self.count);
        for PackedClass { split, name, images } in contents.classes {
            let class = Arc::<str>::from(name);
            for image in images {
                let name = self.name(contents.names[image]);
                let file = ItemFile::Packed(self.clone(), image);
                items.push(Item::new(split, class.clone(), name, file));
            }
        }
        Ok(Listing { items, ink_is_dark: self.ink_is_dark, ..Listing::default() })
    }

    /// Whether its images are drawings, ink dark on paper.
    pub fn ink_is_dark(&self) -> bool {
        self.ink_is_dark
    }
}

/// What a pack holds.
#[derive(Debug, Clone)]
pub struct Contents {
    /// Classes, in the order of their images.
    pub classes: Vec<PackedClass>,
    /// Place of each image's name in the index.
    pub names: Vec<usize>,
}

/// A class of a pack.
#[derive(Debug, Clone)]
pub struct PackedClass {
    /// Its split.
    pub split: Split,
    /// Its name.
    pub name: String,
    /// Numbers of its images.
    pub images: std::ops::Range<usize>,
}

fn four(bytes: &[u8]) -> [u8; 4] {
    [bytes[0], bytes[1], bytes[2], bytes[3]]
}

fn eight(bytes: &[u8]) -> [u8; 8] {
    std::array::from_fn(|at| bytes[at])
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(head)
}

fn text<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let length = u16::from_le_bytes(take(bytes, 2)?.try_into().ok()?);
    std::str::from_utf8(take(bytes, usize::from(length))?).ok()
}

/// Writes a pack beside its path, image after image, and moves it there when it is whole.
pub struct PackWriter {
    path: PathBuf,
    part: PathBuf,
    file: BufWriter<File>,
    shape: ImageShape,
    ink_is_dark: bool,
    sums: Vec<u8>,
    index: Vec<u8>,
    open_class: Option<(Split, String, usize)>,
    images: u64,
    finished: bool,
}

impl PackWriter {
    /// Starts a pack of images of one shape.
    pub fn create(path: &Path, shape: ImageShape, ink_is_dark: bool) -> Result<Self, DataError> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".part-{}", std::process::id()));
        let part = path.with_file_name(name);
        let file = File::create(&part).map_err(DataError::file("create", &part))?;
        let mut writer = Self {
            path: path.to_owned(),
            file: BufWriter::with_capacity(1 << 20, file),
            part,
            shape,
            ink_is_dark,
            sums: Vec::new(),
            index: Vec::new(),
            open_class: None,
            images: 0,
            finished: false,
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
        let length = u16::try_from(text.len()).map_err(|_| DataError::Archive {
            path: self.path.clone(),
            reason: format!("the name {}… is too long", text.chars().take(40).collect::<String>()),
        })?;
        self.index.extend(length.to_le_bytes());
        self.index.extend(text.as_bytes());
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), DataError> {
        self.file.write_all(bytes).map_err(DataError::file("write", &self.part))
    }

    /// Writes the index and the header, and moves the pack to its path. Returns its bytes.
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
        self.file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.write_all(&header))
            .and_then(|()| self.file.flush())
            .and_then(|()| self.file.get_ref().sync_all())
            .map_err(DataError::file("write", &self.part))?;
        fs::rename(&self.part, &self.path).map_err(DataError::file("replace", &self.path))?;
        self.finished = true;
        Ok(start + index.len() as u64)
    }
}

impl Drop for PackWriter {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_file(&self.part);
        }
    }
}
