//! A small data set that the tests of layouts write in many ways.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use fsct::config::{Overrides, load_str};
use fsct::data::{self, Dataset, Split};
use image::{Rgb, RgbImage};

pub type Outcome = Result<(), Box<dyn Error>>;

/// Classes by split; each has four images.
pub const CLASSES: [(&str, &[&str]); 3] =
    [("train", &["ant", "bee", "cat"]), ("val", &["dog", "eel"]), ("test", &["fox", "gnu"])];
pub const IMAGES: usize = 4;

/// An image that no other has.
pub fn picture(class: &str, image: usize) -> RgbImage {
    let seed = class.bytes().fold(image as u32, |seed, byte| seed * 31 + u32::from(byte));
    RgbImage::from_fn(20, 16, |x, y| {
        Rgb([(seed + x * 9) as u8, (seed / 3 + y * 11) as u8, (x * y + seed) as u8])
    })
}

pub fn each(mut write: impl FnMut(&str, &str, usize) -> Outcome) -> Outcome {
    for (split, classes) in CLASSES {
        for class in classes {
            for image in 0..IMAGES {
                write(split, class, image)?;
            }
        }
    }
    Ok(())
}

pub fn save(path: &Path, class: &str, image: usize) -> Outcome {
    fs::create_dir_all(path.parent().ok_or("a parent")?)?;
    picture(class, image).save(path)?;
    Ok(())
}

pub fn open(data: &str, more: &str) -> Result<Dataset, Box<dyn Error>> {
    let text = format!(
        "data: {{{data}, image_size: 16}}\nbackbone: {{kind: conv4}}\nmethod: {{kind: fsct}}\n{more}"
    );
    let loaded = load_str("x.yaml", &text, &Overrides::default())?;
    Ok(data::open(&loaded.pipeline, Path::new("."))?)
}

pub fn at(root: &Path) -> String {
    format!("root: \"{}\"", root.display())
}

/// Split → class → the pixels of its images, in any order.
pub type Content = BTreeMap<String, BTreeMap<String, Vec<Vec<u8>>>>;

pub fn content(dataset: &Dataset) -> Result<Content, Box<dyn Error>> {
    let mut content = Content::new();
    for split in Split::ALL {
        let set = dataset.split(split);
        for class in set.classes() {
            let pixels: Result<Vec<_>, _> = class
                .images
                .iter()
                .map(|it| Ok::<_, data::DataError>(set.pixels(*it)?.into_owned()))
                .collect();
            let mut pixels = pixels?;
            pixels.sort();
            content.entry(split.to_string()).or_default().insert(class.name.clone(), pixels);
        }
    }
    Ok(content)
}

pub fn folders(root: &Path) -> Outcome {
    each(|split, class, image| {
        save(&root.join(format!("{split}/{class}/{image}.png")), class, image)
    })
}

pub fn plain(root: &Path) -> Outcome {
    each(|_, class, image| save(&root.join(format!("{class}/{image}.png")), class, image))
}

pub fn expected() -> Result<Content, Box<dyn Error>> {
    let root = tempfile::tempdir()?;
    folders(root.path())?;
    content(&open(&format!("format: folder, {}", at(root.path())), "")?)
}
