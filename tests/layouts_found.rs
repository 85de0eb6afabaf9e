//! Layouts as people have them on disk: lists that name images by halves, metadata of one file, zips,
//! wrapping folders, pickles of many hands. The same images, classes and splits come out of each.

mod common;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use common::layout::{
    CLASSES, IMAGES, Outcome, at, content, each, expected, folders, open, picture, save,
};
use fsct::data::Split;

/// The layout is guessed, and holds what it should, whatever the classes are called.
fn check(root: &Path, more: &str, format: &str) -> Outcome {
    let dataset = open(&format!("{}{more}", at(root)), "")?;
    let notes = dataset.notes().join("\n");
    assert!(notes.contains(&format!("`{format}`")), "{format} is guessed: {notes}");
    let pixels = |content: common::layout::Content| -> Vec<(String, Vec<Vec<Vec<u8>>>)> {
        let classes = |classes: BTreeMap<String, Vec<Vec<u8>>>| {
            let mut classes: Vec<_> = classes.into_values().collect();
            classes.sort();
            classes
        };
        content.into_iter().map(|(split, it)| (split, classes(it))).collect()
    };
    assert_eq!(pixels(content(&dataset)?), pixels(expected()?), "{format} in {}", root.display());
    assert!(dataset.warnings().is_empty(), "{:?}", dataset.warnings());
    Ok(())
}

/// Lists a split with `header`, and lines that `line` makes of a class and a file's stem.
fn lists(folder: &Path, header: &str, line: impl Fn(&str, &str) -> String) -> Outcome {
    fs::create_dir_all(folder)?;
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    each(|split, class, image| {
        let text = texts.entry(split.into()).or_insert_with(|| format!("{header}\n"));
        *text += &format!("{}\n", line(class, &format!("{class}{image}")));
        Ok(())
    })?;
    for (split, text) in texts {
        fs::write(folder.join(format!("{split}.csv")), text)?;
    }
    Ok(())
}

/// `images/CLASS0.png`, `images/CLASS1.png`, …
fn flat(folder: &Path) -> Outcome {
    each(|_, class, image| save(&folder.join(format!("{class}{image}.png")), class, image))
}

#[test]
fn csv_lists_find_images_wherever_they_are() -> Outcome {
    // miniImageNet and CUB as FEAT and DeepEMD hand them round: the lists in `split/`.
    let root = tempfile::tempdir()?;
    flat(&root.path().join("images"))?;
    lists(&root.path().join("split"), "filename,label", |class, stem| {
        format!("{stem}.png,{class}")
    })?;
    check(root.path(), "", "csv")?;
    check(&root.path().join("split"), "", "csv")?;

    // Names without suffix, paths of a Windows machine, class folders in `images/`.
    for (windows, by_class, suffix) in
        [(false, false, ""), (true, false, ".png"), (false, true, ".png"), (true, true, ".png")]
    {
        let root = tempfile::tempdir()?;
        each(|_, class, image| {
            let folder = root.path().join(if by_class {
                format!("images/{class}")
            } else {
                "images".into()
            });
            save(&folder.join(format!("{class}{image}.png")), class, image)
        })?;
        lists(root.path(), "filename,label", |class, stem| match windows {
            true => format!("C:\\Users\\ann\\mini\\images\\{stem}{suffix},{class}"),
            false => format!("{stem}{suffix},{class}"),
        })?;
        check(root.path(), "", "csv")?;
    }

    // What is not there is named, with the places that were looked at.
    let root = tempfile::tempdir()?;
    flat(&root.path().join("images"))?;
    lists(root.path(), "filename,label", |class, stem| format!("x{stem}.png,{class}"))?;
    let said = open(&at(root.path()), "").map(|_| ()).expect_err("no image is there").to_string();
    assert!(said.contains("xant0.png") && said.contains("images/ant/"), "{said}");
    Ok(())
}

/// HAM10000: one file for all images, names without suffix in two folders, and keys for its columns.
#[test]
fn one_list_of_all_images_with_named_columns() -> Outcome {
    let root = tempfile::tempdir()?;
    let mut list = String::from("\u{feff}lesion_id;image_id;kind;age\r\n");
    each(|_, class, image| {
        list += &format!("L{image};{class}{image};{class};50\r\n");
        let part = root.path().join(format!("part_{}", image % 2 + 1));
        save(&part.join(format!("{class}{image}.png")), class, image)
    })?;
    fs::write(root.path().join("metadata.csv"), list)?;
    let splits: BTreeMap<_, _> = CLASSES.into_iter().collect();
    let file = root.path().join("splits.json");
    fs::write(&file, serde_json::to_string(&splits)?)?;
    let splits = format!(", splits: \"{}\"", file.display());
    check(root.path(), &format!("{splits}, columns: {{class: kind}}"), "csv")?;
    check(
        &root.path().join("metadata.csv"),
        &format!("{splits}, columns: {{class: kind}}"),
        "csv",
    )?;
    let said = |data: &str| -> Result<String, Box<dyn Error>> {
        let error = open(&format!("{}{data}", at(root.path())), "").map(|_| ());
        Ok(error.expect_err("it is incomplete").to_string())
    };
    assert!(
        said(&format!("{splits}, columns: {{class: sort}}"))?
            .contains("`data.columns.class: sort`")
    );
    assert!(said(", columns: {class: kind}")?.contains("which split"), "without splits");
    Ok(())
}

/// ISIC's ground truth: a column a class.
#[test]
fn a_list_with_a_column_a_class() -> Outcome {
    let root = tempfile::tempdir()?;
    flat(&root.path().join("images"))?;
    let names: Vec<&str> = CLASSES.iter().flat_map(|(_, classes)| *classes).copied().collect();
    let mut list = format!("image,split,{}\n", names.join(","));
    each(|split, class, image| {
        let row: Vec<&str> =
            names.iter().map(|it| if *it == class { "1.0" } else { "0.0" }).collect();
        list += &format!("{class}{image},{split},{}\n", row.join(","));
        Ok(())
    })?;
    fs::write(root.path().join("truth.csv"), list)?;
    check(root.path(), "", "csv")
}

#[test]
fn cub_as_it_is_published() -> Outcome {
    let root = tempfile::tempdir()?;
    let (mut images, mut labels, mut classes) = (String::new(), String::new(), String::new());
    let mut number = 0;
    for at in 0..8 {
        let class = format!("{:03}.Bird_{at}", at + 1);
        classes += &format!("{} {class}\n", at + 1);
        for image in 0..2 {
            number += 1;
            images += &format!("{number} {class}/{image}.png\n");
            labels += &format!("{number} {}\n", at + 1);
            save(&root.path().join(format!("images/{class}/{image}.png")), &class, image)?;
        }
    }
    for (name, text) in [("images", images), ("image_class_labels", labels), ("classes", classes)] {
        fs::write(root.path().join(format!("{name}.txt")), text)?;
    }
    let dataset = open(&at(root.path()), "")?;
    let names = |split| -> Vec<String> {
        dataset.split(split).classes().iter().map(|class| class.name[..3].to_owned()).collect()
    };
    assert!(dataset.notes().join("\n").contains("`cub`"));
    assert_eq!(names(Split::Base), ["001", "003", "005", "007"]);
    assert_eq!(names(Split::Val), ["002", "006"]);
    assert_eq!(names(Split::Novel), ["004", "008"]);
    let file = root.path().join("splits.json");
    fs::write(&file, r#"{"train": ["008.Bird_7"], "test": ["001.Bird_0"]}"#)?;
    let dataset = open(&format!("{}, splits: \"{}\"", at(root.path()), file.display()), "")?;
    assert_eq!(dataset.split(Split::Base).classes()[0].name, "008.Bird_7");
    assert_eq!(dataset.split(Split::Base).len(), 2);
    Ok(())
}

fn zip(path: &Path, prefix: &str, of_split: Option<&str>) -> Outcome {
    let mut zip = zip::ZipWriter::new(fs::File::create(path)?);
    each(|split, class, image| {
        if of_split.is_some_and(|it| it != split) {
            return Ok(());
        }
        let mut png = std::io::Cursor::new(Vec::new());
        picture(class, image).write_to(&mut png, image::ImageFormat::Png)?;
        let folder = if of_split.is_some() { class.to_owned() } else { format!("{split}/{class}") };
        zip.start_file(
            format!("{prefix}{folder}/{image}.png"),
            zip::write::SimpleFileOptions::default(),
        )?;
        zip.write_all(&png.into_inner())?;
        zip.start_file(
            format!("__MACOSX/{folder}/._{image}.png"),
            zip::write::SimpleFileOptions::default(),
        )?;
        Ok(zip.write_all(b"x")?)
    })?;
    zip.finish()?;
    Ok(())
}

#[test]
fn zipped_folders_and_folders_in_a_folder() -> Outcome {
    let root = tempfile::tempdir()?;
    zip(&root.path().join("mini.zip"), "mini/", None)?;
    check(&root.path().join("mini.zip"), "", "folder")?;
    check(root.path(), "", "folder")?;

    let root = tempfile::tempdir()?;
    for (split, _) in CLASSES {
        zip(&root.path().join(format!("{split}.zip")), "", Some(split))?;
    }
    check(root.path(), "", "folder")?;

    let root = tempfile::tempdir()?;
    folders(&root.path().join("mini/mini"))?;
    check(root.path(), "", "folder")?;
    let named = open(&format!("format: folder, {}", at(root.path())), "")?;
    assert_eq!(content(&named)?, expected()?, "a layout that is named is looked for there too");
    Ok(())
}

/// What operating systems leave is not looked at.
#[test]
fn system_folders_are_not_classes() -> Outcome {
    let root = tempfile::tempdir()?;
    folders(root.path())?;
    for name in ["@eaDir/ant", "__MACOSX/ant", ".ipynb_checkpoints"] {
        let folder = root.path().join("train").join(name);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("0.png@SynoEAStream"), "x")?;
        fs::write(folder.join("0.png"), "x")?;
    }
    fs::create_dir_all(root.path().join("train/ant/@eaDir"))?;
    fs::write(root.path().join("train/ant/@eaDir/0.png"), "x")?;
    fs::write(root.path().join("train/ant/Thumbs.db"), "x")?;
    check(root.path(), "", "folder")
}

/// The CIFAR lists of the reference's own code: labels count on over the splits, and a list names only
/// its own classes.
#[test]
fn filelists_whose_labels_count_on() -> Outcome {
    let root = tempfile::tempdir()?;
    flat(&root.path().join("images"))?;
    let mut first = 0;
    for (split, (_, classes)) in ["base", "val", "novel"].iter().zip(CLASSES) {
        let labels: Vec<usize> =
            (0..classes.len() * IMAGES).map(|at| first + at / IMAGES).collect();
        let images: Vec<String> = classes
            .iter()
            .flat_map(|class| (0..IMAGES).map(move |it| format!("images/{class}{it}.png")))
            .collect();
        let list = serde_json::json!({"label_names": classes, "image_names": images, "image_labels": labels});
        // With a byte order mark, as some editors write it.
        fs::write(root.path().join(format!("{split}.json")), format!("\u{feff}{list}"))?;
        first += classes.len();
    }
    check(root.path(), "", "filelist")
}

#[test]
fn pickles_of_many_hands() -> Outcome {
    let mut archive = zip::ZipArchive::new(fs::File::open("tests/data/pickles.zip")?)?;
    let root = tempfile::tempdir()?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let path = root.path().join(&*entry.name()?);
        fs::create_dir_all(path.parent().ok_or("a parent")?)?;
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        fs::write(path, bytes)?;
    }
    let mut found = 0;
    for folder in fs::read_dir(root.path())? {
        check(&folder?.path(), "", "pickle")?;
        found += 1;
    }
    assert!(found > 12, "{found} layouts");
    // tieredImageNet names its classes.
    let dataset = open(&at(&root.path().join("tiered")), "")?;
    assert_eq!(dataset.split(Split::Novel).classes()[0].name, "fox");
    Ok(())
}

#[test]
fn the_fingerprint_is_of_the_listing_alone() -> Outcome {
    let (first, second) = (tempfile::tempdir()?, tempfile::tempdir()?);
    folders(first.path())?;
    folders(second.path())?;
    let of = |root: &Path| -> Result<String, Box<dyn Error>> {
        Ok(open(&at(root), "")?.fingerprint().to_owned())
    };
    let whole = of(first.path())?;
    assert_eq!(whole, of(second.path())?, "wherever the data set lies");
    let image = second.path().join("train/ant/0.png");
    let bytes = fs::read(&image)?;
    fs::write(&image, [&bytes[..], b"x"].concat())?;
    assert_ne!(whole, of(second.path())?, "of another size");
    fs::write(&image, &bytes)?;
    assert_eq!(whole, of(second.path())?);
    fs::rename(&image, second.path().join("train/ant/9.png"))?;
    assert_ne!(whole, of(second.path())?, "of another name");
    fs::remove_file(second.path().join("train/ant/9.png"))?;
    assert_ne!(whole, of(second.path())?, "gone");
    Ok(())
}

/// Links to one file, in a split or over two, are one picture.
#[cfg(unix)]
#[test]
fn pictures_reached_twice_are_warnings() -> Outcome {
    use std::os::unix::fs::symlink;
    let root = tempfile::tempdir()?;
    folders(root.path())?;
    let messages = || -> Result<Vec<String>, Box<dyn Error>> {
        let dataset = open(&at(root.path()), "")?;
        Ok(dataset.warnings().iter().map(|warning| warning.message.clone()).collect())
    };
    assert!(messages()?.is_empty());
    symlink(root.path().join("train/ant/0.png"), root.path().join("train/bee/link.png"))?;
    let said = messages()?;
    assert!(
        said.len() == 1 && said[0].contains("one split") && said[0].contains("bee/link.png"),
        "{said:?}"
    );
    symlink(root.path().join("train/cat"), root.path().join("test/cow"))?;
    let said = messages()?;
    assert!(said[0].contains("4 pictures are in more than one split"), "{said:?}");
    // A copy has other bytes on the disk, and the same content.
    fs::copy(root.path().join("val/dog/1.png"), root.path().join("val/eel/copy.png"))?;
    assert!(messages()?[1].contains("2 pictures"), "{:?}", messages()?);
    Ok(())
}
