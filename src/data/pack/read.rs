use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};

use memmap2::{Advice, Mmap};

use super::layout::{HEADER, MAGIC, VERSION, eight, four, take, text};
use crate::data::{DataError, ImageShape, Split};

/// Whether a file starts as a pack does.
pub fn is_pack(path: &Path) -> bool {
    let mut magic = [0; 8];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && &magic == MAGIC
}

/// An open pack, mapped into memory.
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
    /// When it is not a pack, of another version, cut short, or its index is damaged.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let damaged = |reason: String| DataError::archive(path, reason);
        let file = File::open(path).map_err(DataError::file("open", path))?;
        // SAFETY: fsct replaces a pack by a rename and never changes it in place. If another program
        // shortens it while it is in use, reading it ends the process, as with any map.
        let map = unsafe { Mmap::map(&file) }.map_err(DataError::file("map", path))?;
        let header =
            map.get(..HEADER).ok_or_else(|| damaged("it is shorter than a header".into()))?;
        if &header[..8] != MAGIC {
            return Err(damaged("it is not a pack of fsct".into()));
        }
        let u32_at = |at: usize| u32::from_le_bytes(four(&header[at..]));
        let u64_at = |at: usize| u64::from_le_bytes(eight(&header[at..])) as usize;
        if u32_at(8) != VERSION {
            return Err(damaged(format!("its version is {}, and {VERSION} is read", u32_at(8))));
        }
        if !fits(&header[..60], u32_at(60)) {
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
            return Err(damaged(format!("its images have the impossible shape {shape:?}")));
        }
        let expected = count.checked_mul(shape.values() + 4).and_then(|it| it.checked_add(HEADER));
        if expected != Some(index) || index.checked_add(length) != Some(map.len()) {
            return Err(damaged("it is cut short, or longer than it says".into()));
        }
        if !fits(&map[index..], u32_at(56)) {
            return Err(damaged("its index is damaged".into()));
        }
        // Episodes read images at random: reading ahead would fill memory with images that are not used.
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
            if !fits(pixels, u32::from_le_bytes(four(&self.map[at..]))) {
                return Err(format!("its checksum is wrong in {}", self.path.display()));
            }
            self.checked[image].store(1, Ordering::Relaxed);
        }
        Ok(pixels)
    }

    /// Its classes, with the names of their images.
    ///
    /// # Errors
    /// When the index is not one that fsct writes.
    pub fn classes(&self) -> Result<Vec<PackedClass>, DataError> {
        let damaged = || DataError::archive(&self.path, "its index is not one that fsct writes");
        let mut index = &self.map[self.index.clone()];
        let mut classes = Vec::new();
        let mut count = 0;
        while !index.is_empty() {
            let (class, images) = class(&mut index).ok_or_else(damaged)?;
            let mut class = PackedClass { first: count, ..class };
            // Not reserved: the number may be damaged.
            for _ in 0..images {
                class.names.push(text(&mut index).ok_or_else(damaged)?.to_owned());
            }
            count += images;
            classes.push(class);
        }
        if count != self.count {
            return Err(damaged());
        }
        Ok(classes)
    }

    /// Whether its images are drawings, ink dark on paper.
    pub fn ink_is_dark(&self) -> bool {
        self.ink_is_dark
    }
}

/// Whether bytes have this checksum. A fuzzer would never get past it, so it finds them all right.
fn fits(bytes: &[u8], checksum: u32) -> bool {
    cfg!(fuzzing) || crc32fast::hash(bytes) == checksum
}

/// A class of a pack.
#[derive(Debug, Clone)]
pub struct PackedClass {
    /// The split of the class.
    pub split: Split,
    /// The name of the class.
    pub name: String,
    /// Number of its first image; the others follow it.
    pub first: usize,
    /// Names of its images.
    pub names: Vec<String>,
}

/// The head of a class in the index, and how many images it has.
fn class(index: &mut &[u8]) -> Option<(PackedClass, usize)> {
    let split = *Split::ALL.get(usize::from(*take(index, 1)?.first()?))?;
    let name = text(index)?.to_owned();
    let images = u32::from_le_bytes(four(take(index, 4)?)) as usize;
    Some((PackedClass { split, name, first: 0, names: Vec::new() }, images))
}
