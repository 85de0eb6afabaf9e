use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use super::DataError;

/// Decoded images, kept up to a number of bytes.
pub enum Cache {
    /// Keeps nothing; each image is decoded again.
    None,
    /// Keeps decoded images in memory.
    Memory {
        /// An image each, once it is decoded.
        slots: Vec<OnceLock<Box<[u8]>>>,
        /// Images that still fit.
        room: AtomicUsize,
    },
    /// In a file without a name, which the system removes with the process.
    Disk(DiskCache),
}

impl fmt::Debug for Cache {
    /// Without the pixels.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Memory { .. } => "Memory",
            Self::Disk(_) => "Disk",
        })
    }
}

impl Cache {
    /// In memory, for up to `bytes` of `images` images of `size` bytes.
    pub fn memory(images: usize, size: usize, bytes: usize) -> Self {
        let slots = (0..images).map(|_| OnceLock::new()).collect();
        Self::Memory { slots, room: AtomicUsize::new(bytes / size.max(1)) }
    }

    /// In a file, likewise.
    pub fn disk(images: usize, size: usize, bytes: usize) -> Result<Self, DataError> {
        DiskCache::create(images, size, bytes).map(Self::Disk)
    }

    /// Bytes of memory that it takes once every image was used, at `size` bytes each.
    pub fn memory_bytes(&self, size: usize) -> usize {
        let Self::Memory { slots, room } = self else { return 0 };
        let filled = slots.iter().filter(|slot| slot.get().is_some()).count();
        slots.len().min(filled + room.load(Ordering::Relaxed)) * size
    }

    /// Images that it would keep in memory, had it the room.
    pub fn images_in_memory(&self) -> usize {
        match self {
            Self::Memory { slots, .. } => slots.len(),
            _ => 0,
        }
    }

    /// The image in memory.
    pub fn get(&self, image: usize) -> Option<&[u8]> {
        match self {
            Self::Memory { slots, .. } => slots[image].get().map(AsRef::as_ref),
            _ => None,
        }
    }

    /// The image in the file.
    pub fn read(&self, image: usize) -> Option<Vec<u8>> {
        match self {
            Self::Disk(disk) => disk.read(image),
            _ => None,
        }
    }

    /// Keeps an image where there is room.
    pub fn put(&self, image: usize, pixels: &[u8]) {
        match self {
            Self::None => {}
            Self::Memory { slots, room } => {
                let taken = room
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(1));
                // If two threads decode the same image, the second copy is dropped.
                if taken.is_ok() && slots[image].set(pixels.into()).is_err() {
                    room.fetch_add(1, Ordering::Relaxed);
                }
            }
            Self::Disk(disk) => disk.write(image, pixels),
        }
    }
}

/// Decoded images in a file.
#[derive(Debug)]
pub struct DiskCache {
    file: Mutex<File>,
    size: usize,
    /// Place of each image in the file, once it is there.
    places: Vec<OnceLock<u64>>,
    next: AtomicU64,
    room: u64,
}

impl DiskCache {
    fn create(images: usize, size: usize, bytes: usize) -> Result<Self, DataError> {
        let folder = std::env::temp_dir();
        let file = tempfile::tempfile().map_err(DataError::file("create a file in", &folder))?;
        let file = Mutex::new(file);
        let places = (0..images).map(|_| OnceLock::new()).collect();
        let room = (bytes / size.max(1)) as u64;
        Ok(Self { file, size, places, next: AtomicU64::new(0), room })
    }

    fn read(&self, image: usize) -> Option<Vec<u8>> {
        let place = *self.places[image].get()?;
        let mut pixels = vec![0; self.size];
        let mut file = self.file.lock().ok()?;
        file.seek(SeekFrom::Start(place)).and_then(|_| file.read_exact(&mut pixels)).ok()?;
        Some(pixels)
    }

    fn write(&self, image: usize, pixels: &[u8]) {
        let Ok(mut file) = self.file.lock() else { return };
        let number = self.next.load(Ordering::Relaxed);
        if number >= self.room || self.places[image].get().is_some() {
            return;
        }
        let place = number * self.size as u64;
        // A full disk is a full cache.
        if file.seek(SeekFrom::Start(place)).and_then(|_| file.write_all(pixels)).is_ok() {
            self.next.store(number + 1, Ordering::Relaxed);
            let _ = self.places[image].set(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_come_back_and_the_limit_holds() -> Result<(), DataError> {
        for cache in [Cache::memory(5, 3, 9), Cache::disk(5, 3, 9)?] {
            let read = |image| cache.get(image).map(<[u8]>::to_vec).or_else(|| cache.read(image));
            assert_eq!(read(2), None);
            for image in [2, 2, 0, 4, 1] {
                cache.put(image, &[image as u8; 3]);
            }
            assert_eq!(read(2), Some(vec![2; 3]));
            assert_eq!(read(4), Some(vec![4; 3]));
            assert_eq!(read(1), None, "three images fill nine bytes");
        }
        Ok(())
    }
}
