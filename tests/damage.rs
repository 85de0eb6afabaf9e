//! Broken data sets: each damage is an error that names it, or a counted and listed skip under
//! `on_bad_image: skip`; never a panic, never silently fewer images.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::Path;

use fsct::config::{Overrides, load_str};
use fsct::data::{self, Dataset, Split};
use image::{GrayImage, ImageFormat, Rgb, RgbImage};

type Outcome = Result<(), Box<dyn Error>>;

/// 2 × 2 pixels of a palette of 4 bytes, a finding of the fuzzer: `png` 0.18 panics on it.
const PALETTE_OF_4_BYTES: &[u8] =
    b"\x89PNG\x0d\x0a\x1a\x0a\x00\x00\x00\x0dIHDR\x00\x00\x00\x02\x00\x00\x00\x02\x08\x03\x00\
    \x00\x00Eh\xfd\x16\x00\x00\x00\x04PLTE\x0a\x14\x1e(!\xc5\xd2\x97\x00\x00\x00\x0bIDATx\
    \x9cc`\x00\x01\x00\x00\x06\x00\x01\xfe\x8cg\xc8\x00\x00\x00\x00IEND\xaeB`\x82";

fn bytes(format: ImageFormat) -> Vec<u8> {
    let image =
        RgbImage::from_fn(40, 30, |x, y| Rgb([(x * 6) as u8, (y * 8) as u8, (x * y) as u8]));
    let mut out = std::io::Cursor::new(Vec::new());
    image.write_to(&mut out, format).unwrap();
    out.into_inner()
}

fn png() -> Vec<u8> {
    bytes(ImageFormat::Png)
}

fn jpeg() -> Vec<u8> {
    bytes(ImageFormat::Jpeg)
}

/// A data set of two good images a class, in one class a split.
fn good(root: &Path) -> Outcome {
    for (split, class) in [("train", "ant"), ("val", "bee"), ("test", "cat")] {
        let folder = root.join(split).join(class);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("0.png"), png())?;
        fs::write(folder.join("1.jpg"), jpeg())?;
    }
    Ok(())
}

fn open(root: &Path, data: &str) -> Result<Dataset, Box<dyn Error>> {
    let text = format!(
        "data: {{root: \"{}\", image_size: 16{data}}}\nbackbone: {{kind: conv4}}\nmethod: {{kind: fsct}}\n",
        root.display()
    );
    let loaded = load_str("x.yaml", &text, &Overrides::default())?;
    Ok(data::open(&loaded.pipeline, Path::new("."))?)
}

/// A bad image in a good data set: an error that names it and says why, or a listed skip.
fn bad_image(damage: &str, name: &str, why: &str, make: impl Fn(&Path) -> Outcome) -> Outcome {
    let root = tempfile::tempdir()?;
    good(root.path())?;
    make(&root.path().join("train/ant").join(name))?;
    let said = open(root.path(), "").map(|_| ()).expect_err(damage).to_string();
    assert!(said.contains(name) && said.contains(why), "{damage}: {said}");
    let skipped = open(root.path(), ", on_bad_image: skip")?;
    assert_eq!(skipped.split(Split::Base).len(), 2, "{damage}");
    let notes = skipped.notes().join("\n");
    assert!(
        notes.contains("1 of the 3 images of base") && notes.contains(name) && notes.contains(why),
        "{damage}: {notes}"
    );
    Ok(())
}

#[test]
fn bad_images_are_named_or_counted() -> Outcome {
    let write = |content: Vec<u8>| move |path: &Path| -> Outcome { Ok(fs::write(path, &content)?) };
    let cut =
        |content: Vec<u8>, share: f64| content[..(content.len() as f64 * share) as usize].to_vec();

    bad_image("no bytes", "x.jpg", "empty", write(vec![]))?;
    bad_image("a JPEG cut in its data", "x.jpg", "", write(cut(jpeg(), 0.8)))?;
    bad_image("a JPEG cut in its header", "x.jpg", "", write(cut(jpeg(), 0.1)))?;
    bad_image(
        "a JPEG without its end of data",
        "x.jpg",
        "",
        write({
            let jpeg = jpeg();
            jpeg[..jpeg.len() - 60].to_vec()
        }),
    )?;
    bad_image(
        "a JPEG with zeros in its data",
        "x.jpg",
        "",
        write({
            let mut jpeg = jpeg();
            let end = jpeg.len() - 100;
            jpeg[end - 8..end].copy_from_slice(&[0xff, 0xd9, 0, 0, 0, 0, 0, 0]);
            jpeg
        }),
    )?;
    bad_image("a JPEG of one marker", "x.jpg", "", write(vec![0xff, 0xd8, 0xff]))?;
    bad_image("a PNG cut in its data", "x.png", "", write(cut(png(), 0.6)))?;
    bad_image(
        "a PNG with a wrong checksum",
        "x.png",
        "",
        write({
            let mut png = png();
            let middle = png.len() / 2;
            png[middle] ^= 0x55;
            png
        }),
    )?;
    bad_image(
        "a PNG that claims four billion pixels",
        "x.png",
        "",
        write({
            let mut png = png();
            png[16..20].copy_from_slice(&60_000u32.to_be_bytes());
            png[20..24].copy_from_slice(&60_000u32.to_be_bytes());
            let sum = crc32fast::hash(&png[12..29]);
            png[29..33].copy_from_slice(&sum.to_be_bytes());
            png
        }),
    )?;
    bad_image(
        "a PNG whose palette ends within a color",
        "x.png",
        "its decoder fails",
        write(PALETTE_OF_4_BYTES.to_vec()),
    )?;
    bad_image(
        "a PNG that claims more pixels than its bytes can hold",
        "x.png",
        "cannot hold 16 × 4194312 pixels",
        write({
            let mut png = png();
            png[16..20].copy_from_slice(&16u32.to_be_bytes());
            png[20..24].copy_from_slice(&4_194_312u32.to_be_bytes());
            let sum = crc32fast::hash(&png[12..29]);
            png[29..33].copy_from_slice(&sum.to_be_bytes());
            png
        }),
    )?;
    bad_image("a BMP cut short", "x.bmp", "", write(cut(bytes(ImageFormat::Bmp), 0.5)))?;
    bad_image("text named as an image", "x.png", "first bytes", write(b"hello".to_vec()))?;
    for (name, format) in [
        ("x.webp", ImageFormat::WebP),
        ("x.gif", ImageFormat::Gif),
        ("x.tiff", ImageFormat::Tiff),
        ("x.ppm", ImageFormat::Pnm),
    ] {
        bad_image(
            "an image of another format, cut short",
            name,
            "",
            write(cut(bytes(format), 0.5)),
        )?;
    }
    bad_image("a format that is not read", "x.png", "Hdr", write(b"#?RADIANCE\n\n".to_vec()))?;
    bad_image("a web page", "x.jpg", "web page", write(b"<!DOCTYPE html><html>".to_vec()))?;
    bad_image("a folder named x.jpg", "x.jpg", "folder", |path| Ok(fs::create_dir(path)?))?;
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        bad_image("a link to nowhere", "x.jpg", "", |path| {
            Ok(std::os::unix::fs::symlink("no/where", path)?)
        })?;
        bad_image("a link to itself", "x.jpg", "", |path| {
            Ok(std::os::unix::fs::symlink(path, path)?)
        })?;
        bad_image("a folder that links to its own parent", "loop", "leads back", |path| {
            // Found at the end of the way down, once.
            fs::create_dir(path)?;
            let mut deep = path.to_owned();
            for _ in 0..7 {
                deep = deep.join("d");
            }
            fs::create_dir_all(&deep)?;
            Ok(std::os::unix::fs::symlink("..", deep.join("up"))?)
        })?;
        bad_image("a name that is not UTF-8", "x", "UTF-8", |path| {
            let name = std::ffi::OsStr::from_bytes(b"x\xff.png");
            Ok(fs::write(path.with_file_name(name), png())?)
        })?;
        bad_image("a pipe named x.png", "x.png", "regular", |path| {
            let made = std::process::Command::new("mkfifo").arg(path).status()?;
            assert!(made.success());
            Ok(())
        })?;
        // Root may read every file, so there the file is one that fails when it is read.
        let root = std::process::Command::new("id").arg("-u").output()?.stdout == b"0\n";
        if root {
            bad_image("a file that cannot be read", "x.png", "error", |path| {
                Ok(std::os::unix::fs::symlink("/proc/self/mem", path)?)
            })?;
        } else {
            bad_image("a file that may not be read", "x.png", "denied", |path| {
                use std::os::unix::fs::PermissionsExt;
                fs::write(path, png())?;
                Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o000))?)
            })?;
        }
    }
    Ok(())
}

#[test]
fn an_empty_class_is_named_or_counted() -> Outcome {
    let root = tempfile::tempdir()?;
    good(root.path())?;
    fs::create_dir(root.path().join("train/void"))?;
    fs::write(root.path().join("train/ant/notes.txt"), "x")?;
    let said = open(root.path(), "").unwrap_err().to_string();
    assert!(said.contains("class `void` of base has no image: its folder is empty"), "{said}");
    let skipped = open(root.path(), ", on_bad_image: skip")?;
    let notes = skipped.notes().join("\n");
    assert!(notes.contains("1 classes of base have no image") && notes.contains("void"), "{notes}");
    assert!(notes.contains("1 .txt (such as notes.txt)"), "other files are counted: {notes}");
    Ok(())
}

/// A data set that is broken as a whole: an error that says so.
fn bad_root(
    damage: &str,
    why: &str,
    make: impl Fn(&Path) -> Result<String, Box<dyn Error>>,
) -> Outcome {
    let root = tempfile::tempdir()?;
    let more = make(root.path())?;
    let path = if root.path().join("root").exists() {
        root.path().join("root")
    } else {
        root.path().to_owned()
    };
    let said = open(&path, &more).map(|_| ()).expect_err(damage);
    assert!(said.to_string().contains(why), "{damage}: {said}");
    Ok(())
}

fn filelist(root: &Path, list: &serde_json::Value) -> Result<String, Box<dyn Error>> {
    fs::write(root.join("x.png"), png())?;
    for split in ["base", "val", "novel"] {
        fs::write(root.join(format!("{split}.json")), list.to_string())?;
    }
    Ok(", format: filelist".into())
}

#[test]
fn bad_lists_are_named() -> Outcome {
    use serde_json::json;
    bad_root("a label out of range", "the label 7 has no name", |root| {
        filelist(
            root,
            &json!({"label_names": ["a", "b"], "image_names": ["x.png"], "image_labels": [7]}),
        )
    })?;
    bad_root("a negative label", "the label -1 has no name", |root| {
        filelist(
            root,
            &json!({"label_names": ["a"], "image_names": ["x.png"], "image_labels": [-1]}),
        )
    })?;
    bad_root("lists of other lengths", "2 image_names have 1 image_labels", |root| {
        filelist(
            root,
            &json!({"label_names": ["a"], "image_names": ["x.png", "y.png"], "image_labels": [0]}),
        )
    })?;
    bad_root("two labels of one name", "same name", |root| {
        filelist(
            root,
            &json!({"label_names": ["a", "a"], "image_names": ["x.png", "y.png"], "image_labels": [0, 1]}),
        )
    })?;
    bad_root("an image that is listed twice", "listed twice", |root| {
        filelist(
            root,
            &json!({"label_names": ["a"], "image_names": ["x.png", "x.png"], "image_labels": [0, 0]}),
        )
    })?;
    bad_root("an image that is not there", "y.png", |root| {
        filelist(
            root,
            &json!({"label_names": ["a"], "image_names": ["x.png", "y.png"], "image_labels": [0, 0]}),
        )
    })?;
    bad_root("JSON cut short", "base.json", |root| {
        filelist(root, &json!({}))?;
        fs::write(root.join("base.json"), "{\"label_names\": [\"a\"")?;
        Ok(", format: filelist".into())
    })?;
    bad_root("a list without its keys", "label_names", |root| filelist(root, &json!({"a": 1})))?;
    bad_root("CSV of other columns", "expected: filename,label", |root| {
        fs::write(root.join("train.csv"), "a,b\n1,2\n")?;
        Ok(String::new())
    })?;
    bad_root("CSV with a short line", "line 3", |root| {
        fs::write(root.join("train.csv"), "filename,label\nx.png,a\ny.png\n")?;
        Ok(String::new())
    })?;
    bad_root("CSV with an empty class", "line 2", |root| {
        fs::write(root.join("train.csv"), "filename,label\nx.png,\n")?;
        Ok(String::new())
    })?;
    bad_root("a class in two splits of a list", "named twice", |root| {
        fs::create_dir_all(root.join("root/a"))?;
        fs::write(root.join("root/a/x.png"), png())?;
        let list = root.join("splits.json");
        fs::write(&list, r#"{"train": ["a"], "test": ["a"]}"#)?;
        Ok(format!(", splits: \"{}\"", list.display()))
    })?;
    bad_root("a listed class without a folder", "`b`", |root| {
        fs::create_dir_all(root.join("root/a"))?;
        fs::write(root.join("root/a/x.png"), png())?;
        let list = root.join("splits.json");
        fs::write(&list, r#"{"train": ["a"], "test": ["b"]}"#)?;
        Ok(format!(", splits: \"{}\"", list.display()))
    })?;
    bad_root("easyfsl without a folder", "`nowhere`", |root| {
        fs::write(
            root.join("train.json"),
            r#"{"class_names": ["a"], "class_roots": ["nowhere"]}"#,
        )?;
        Ok(String::new())
    })?;
    Ok(())
}

fn zip(root: &Path, entries: &[(&str, Vec<u8>)]) -> Result<std::path::PathBuf, Box<dyn Error>> {
    let path = root.join("images_background.zip");
    let mut zip = zip::ZipWriter::new(fs::File::create(&path)?);
    for (name, content) in entries {
        zip.start_file(*name, zip::write::SimpleFileOptions::default())?;
        zip.write_all(content)?;
    }
    zip.finish()?;
    Ok(path)
}

fn drawing() -> Vec<u8> {
    let mut out = std::io::Cursor::new(Vec::new());
    GrayImage::from_pixel(20, 20, image::Luma([255])).write_to(&mut out, ImageFormat::Png).unwrap();
    out.into_inner()
}

#[test]
fn bad_archives_are_named() -> Outcome {
    const NAME: &str = "images_background/Greek/character01/0001_01.png";
    bad_root("a zip with ../", "leads out", |root| {
        zip(root, &[(NAME, drawing()), ("../../Greek/character01/evil.png", drawing())])?;
        Ok(String::new())
    })?;
    bad_root("a zip bomb", "bytes", |root| {
        zip(root, &[(NAME, vec![0; 64 << 20])])?;
        Ok(String::new())
    })?;
    bad_root("a zip cut short", "images_background.zip", |root| {
        let path = zip(root, &[(NAME, drawing())])?;
        let content = fs::read(&path)?;
        Ok(fs::write(&path, &content[..content.len() / 2]).map(|()| String::new())?)
    })?;
    bad_root("a zip with damaged data", "images_background.zip", |root| {
        let path = zip(root, &[(NAME, drawing())])?;
        let mut content = fs::read(&path)?;
        let at = 30 + NAME.len() + 4;
        content[at..at + 8].fill(0xee);
        Ok(fs::write(&path, &content).map(|()| String::new())?)
    })?;
    bad_root("a zip of other things", "no drawing", |root| {
        zip(root, &[("readme.txt", b"hello".to_vec())])?;
        Ok(String::new())
    })?;
    Ok(())
}

#[test]
fn bad_pickles_and_packs_are_named() -> Outcome {
    let write = |name: &'static str, content: &'static [u8]| {
        move |root: &Path| -> Result<String, Box<dyn Error>> {
            fs::write(root.join(name), content)?;
            Ok(String::new())
        }
    };
    const NAME: &str = "mini-imagenet-cache-train.pkl";
    bad_root(
        "a pickle that runs a command",
        "posix.system",
        write(NAME, b"cposix\nsystem\n(S'x'\ntR."),
    )?;
    bad_root("a pickle cut short", "cut short", write(NAME, b"\x80\x02}(X\xff\x00\x00\x00ima"))?;
    bad_root("an empty pickle", "mini-imagenet-cache-train.pkl", write(NAME, b""))?;
    bad_root("a pickle of something else", "image_data", write(NAME, b"\x80\x02]."))?;
    bad_root("a pickle without end", "", write(NAME, b"\x80\x02((((((((((((("))?;

    let root = tempfile::tempdir()?;
    good(root.path())?;
    let pack = root.path().join("x.fsct");
    let packed = std::process::Command::new(env!("CARGO_BIN_EXE_fsct"))
        .args(["data", "pack", "--size", "16", "-o"])
        .args([&pack, root.path()])
        .output()?;
    assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
    let whole = fs::read(&pack)?;
    assert_eq!(open(&pack, "")?.split(Split::Base).len(), 2);
    let damaged = |why: &str, change: &dyn Fn(&mut Vec<u8>)| -> Outcome {
        let mut content = whole.clone();
        change(&mut content);
        fs::write(&pack, content)?;
        let said = open(&pack, ", format: pack")
            .and_then(|set| Ok(set.split(Split::Base).pixels(0).map(|_| ())?))
            .expect_err(why)
            .to_string();
        assert!(said.contains(why), "{said}");
        Ok(())
    };
    damaged("cut short", &|it| it.truncate(it.len() - 9))?;
    damaged("shorter than a header", &|it| it.truncate(20))?;
    damaged("header is damaged", &|it| it[13] ^= 1)?;
    damaged("version is 9", &|it| it[8] = 9)?;
    damaged("not a pack", &|it| it[0] = b'x')?;
    damaged("index is damaged", &|it| {
        let last = it.len() - 3;
        it[last] ^= 1;
    })?;
    damaged("checksum is wrong", &|it| it[100] ^= 1)?;
    Ok(())
}

/// Large sets are decoded when they are used; damage is then an error of the read.
#[test]
fn damage_found_late_is_an_error_too() -> Outcome {
    let root = tempfile::tempdir()?;
    good(root.path())?;
    let data = ", cache: none";
    fs::write(root.path().join("train/ant/9.jpg"), jpeg())?;
    let dataset = open(root.path(), data)?;
    fs::write(root.path().join("train/ant/9.jpg"), b"gone")?;
    let set = dataset.split(Split::Base);
    let said = (0..set.len()).find_map(|image| set.pixels(image).err()).ok_or("no error")?;
    assert!(said.to_string().contains("9.jpg"), "{said}");
    let mut values = vec![0.0; 3 * 16 * 16];
    let read = (0..set.len()).find_map(|image| set.read(image, None, &mut values).err());
    assert!(read.is_some());
    Ok(())
}
