//! Every layout, small: the same images, classes and splits whichever way they lie on disk.

mod common;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use common::layout::{
    CLASSES, IMAGES, Outcome, at, content, each, expected, folders, open, picture, plain, save,
};
use fsct::config::{Overrides, load_str};
use fsct::data::{self, Dataset, Sampler, Split, Stream};

/// A layout is guessed, and holds what it should.
fn check(format: &str, root: &Path, more: &str) -> Outcome {
    let dataset = open(&format!("{}{more}", at(root)), "")?;
    let note = dataset.notes().first().cloned().unwrap_or_default();
    assert!(note.contains(&format!("`{format}`")), "{format} is guessed: {note}");
    assert_eq!(content(&dataset)?, expected()?, "{format}");
    let named = open(&format!("format: {format}, {}{more}", at(root)), "")?;
    // A known name with other counts than the published split is noted.
    let others = named.notes().iter().filter(|note| !note.contains("published")).count();
    assert_eq!(others, 0, "{:?}", named.notes());
    Ok(())
}

#[test]
fn folders_by_split() -> Outcome {
    let root = tempfile::tempdir()?;
    folders(root.path())?;
    let found = expected()?;
    let classes: Vec<usize> = found.values().map(BTreeMap::len).collect();
    assert_eq!(classes, [3, 2, 2]);
    check("folder", root.path(), "")
}

#[test]
fn folders_of_classes_with_a_list() -> Outcome {
    let root = tempfile::tempdir()?;
    plain(root.path())?;
    let lists: BTreeMap<_, _> = CLASSES.into_iter().collect();
    let list = root.path().join("splits.json");
    fs::write(&list, serde_json::to_string(&lists)?)?;
    check("folder", root.path(), &format!(", splits: \"{}\"", list.display()))?;
    let said = open(&at(root.path()), "").unwrap_err().to_string();
    assert!(said.contains("7 class folders"), "{said}");
    Ok(())
}

#[test]
fn filelists() -> Outcome {
    let root = tempfile::tempdir()?;
    plain(&root.path().join("images"))?;
    for (split, (name, classes)) in ["base", "val", "novel"].iter().zip(CLASSES) {
        // Labels that are not contiguous and collide across splits; more names than classes; paths of
        // another machine.
        let labels: Vec<usize> = (0..classes.len() * IMAGES).map(|at| 2 * (at / IMAGES)).collect();
        let mut names = vec!["unused"; 7];
        classes.iter().enumerate().for_each(|(at, class)| names[2 * at] = class);
        let images: Vec<String> = classes
            .iter()
            .flat_map(|class| {
                (0..IMAGES).map(move |it| format!("/somebody/else/images/{class}/{it}.png"))
            })
            .collect();
        let list = serde_json::json!({"label_names": names, "image_names": images, "image_labels": labels});
        fs::write(root.path().join(format!("{split}.json")), list.to_string())?;
        assert!(!name.is_empty());
    }
    check("filelist", root.path(), "")?;
    let dataset = open(&at(root.path()), "")?;
    assert_eq!(dataset.split(Split::Base).image_name(0), "images/ant/0.png");
    Ok(())
}

#[test]
fn csv_lists_in_both_dialects() -> Outcome {
    for (header, swap, folder) in [
        ("filename,label", false, "images"),
        ("class_name,image_name", true, ""),
        ("\u{feff}filename,label", false, "classes"),
    ] {
        let root = tempfile::tempdir()?;
        let mut lists: BTreeMap<String, String> = BTreeMap::new();
        each(|split, class, image| {
            let name = format!("{class} {image},x.png");
            let path = match folder {
                "images" => root.path().join("images").join(&name),
                "classes" => root.path().join(class).join(&name),
                _ => root.path().join(&name),
            };
            save(&path, class, image)?;
            let list = lists.entry(split.into()).or_insert_with(|| format!("{header}\r\n"));
            let name = format!("\"{name}\"");
            *list +=
                &if swap { format!("{class},{name}\r\n") } else { format!("{name},{class}\r\n") };
            Ok(())
        })?;
        for (split, list) in lists {
            fs::write(root.path().join(format!("{split}.csv")), list)?;
        }
        check("csv", root.path(), "")?;
    }
    Ok(())
}

#[test]
fn cifar_fs_with_bertinettos_lists() -> Outcome {
    let root = tempfile::tempdir()?;
    plain(&root.path().join("data"))?;
    let lists = root.path().join("splits/bertinetto");
    fs::create_dir_all(&lists)?;
    for (split, classes) in CLASSES {
        fs::write(lists.join(format!("{split}.txt")), classes.join("\n") + "\n")?;
    }
    check("cifar_fs", root.path(), "")
}

#[test]
fn easyfsl_lists() -> Outcome {
    let root = tempfile::tempdir()?;
    plain(&root.path().join("pictures"))?;
    for (split, classes) in CLASSES {
        let roots: Vec<String> = classes.iter().map(|class| format!("pictures/{class}")).collect();
        let list = serde_json::json!({"class_names": classes, "class_roots": roots});
        fs::write(root.path().join(format!("{split}.json")), list.to_string())?;
    }
    check("easyfsl", root.path(), "")
}

/// A pickle as Python writes it: opcodes of protocol 2 or 4, an array of bytes and a dictionary.
fn pickle(classes: &[&str], protocol: u8) -> Vec<u8> {
    let mut pixels = Vec::new();
    for class in classes {
        for image in 0..IMAGES {
            pixels.extend(picture(class, image).into_raw());
        }
    }
    let text = |text: &str| {
        [b"X".as_slice(), &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
    };
    let short = |number: usize| vec![b'K', number as u8];
    let mut out = vec![0x80, protocol];
    out.extend(b"}(");
    out.extend(text("image_data"));
    out.extend(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85");
    // b'b', as bytes or as text to encode.
    out.extend(b"C\x01b\x87R(K\x01(");
    for side in [classes.len() * IMAGES, 16, 20, 3] {
        out.extend(short(side));
    }
    out.extend(b"tcnumpy\ndtype\n");
    out.extend(text("u1"));
    out.extend(b"\x89\x88\x87R(K\x03");
    out.extend(text("|"));
    out.extend(b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89");
    if protocol < 3 {
        let latin: String = pixels.iter().map(|byte| char::from(*byte)).collect();
        out.extend(b"c_codecs\nencode\n");
        out.extend(text(&latin));
        out.extend(text("latin1"));
        out.extend(b"\x86R");
    } else {
        out.push(b'B');
        out.extend((pixels.len() as u32).to_le_bytes());
        out.extend(&pixels);
    }
    out.extend(b"tb");
    out.extend(text("class_dict"));
    out.extend(b"}(");
    for (at, class) in classes.iter().enumerate() {
        out.extend(text(class));
        out.extend(b"](");
        (0..IMAGES).for_each(|image| out.extend(short(at * IMAGES + image)));
        out.push(b'e');
    }
    out.extend(b"uu.");
    out
}

#[test]
fn pickled_caches_of_old_and_new_protocols() -> Outcome {
    for protocol in [2, 4] {
        let root = tempfile::tempdir()?;
        for (split, classes) in CLASSES {
            let path = root.path().join(format!("mini-imagenet-cache-{split}.pkl"));
            fs::write(path, pickle(classes, protocol))?;
        }
        check("pickle", root.path(), "")?;
    }
    Ok(())
}

fn fsct(arguments: &[&str]) -> Result<String, Box<dyn Error>> {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_fsct")).args(arguments).output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(text) } else { Err(text.into()) }
}

#[test]
fn a_pack_holds_what_its_source_does() -> Outcome {
    let root = tempfile::tempdir()?;
    folders(&root.path().join("source"))?;
    let path = |name: &str| root.path().join(name).display().to_string();
    fsct(&["data", "pack", &path("source"), "--size", "16", "-o", &path("small.fsct")])?;
    check("pack", &root.path().join("small.fsct"), "")?;
    let said = open(&at(&root.path().join("small.fsct")).to_string(), "").map(|_| ());
    assert!(said.is_ok());
    let other = format!("{}, image_size: 32", at(&root.path().join("small.fsct")));
    let text = format!("data: {{{other}}}\nbackbone: {{kind: conv4}}\nmethod: {{kind: fsct}}\n");
    let loaded = load_str("x", &text, &Overrides::default())?;
    let said = data::open(&loaded.pipeline, Path::new(".")).unwrap_err().to_string();
    assert!(said.contains("16 px"), "{said}");
    Ok(())
}

fn drawing(path: &Path, seed: u32) -> Outcome {
    fs::create_dir_all(path.parent().ok_or("a parent")?)?;
    let image = image::GrayImage::from_fn(21, 21, |x, y| {
        image::Luma([if (x * 3 + y * y + seed).is_multiple_of(5) { 0 } else { 255 }])
    });
    Ok(image.save(path)?)
}

fn omniglot(root: &Path) -> Outcome {
    for (seed, class) in
        ["Greek/character01", "Greek/character02", "Latin/character01", "Sanskrit/character01"]
            .iter()
            .enumerate()
    {
        for image in 0..3 {
            let path = root.join(format!("images_background/{class}/{seed:04}_{image:02}.png"));
            drawing(&path, seed as u32 * 7 + image)?;
        }
    }
    Ok(())
}

#[test]
fn omniglot_turned_and_with_vinyals_lists() -> Outcome {
    let root = tempfile::tempdir()?;
    omniglot(root.path())?;
    let upright = open(&at(root.path()), "")?;
    assert!(upright.notes()[0].contains("`omniglot`"));
    let names = |dataset: &Dataset, split| -> Vec<String> {
        dataset.split(split).classes().iter().map(|class| class.name.clone()).collect()
    };
    assert_eq!(names(&upright, Split::Base), ["Greek/character01", "Greek/character02"]);
    assert_eq!(names(&upright, Split::Novel), ["Sanskrit/character01"]);

    let turned = open(&format!("{}, rotations: true", at(root.path())), "")?;
    assert_eq!(
        names(&turned, Split::Val),
        [
            "Latin/character01",
            "Latin/character01/rot090",
            "Latin/character01/rot180",
            "Latin/character01/rot270"
        ]
    );
    let set = turned.split(Split::Val);
    let pixels = |class: usize| set.pixels(set.classes()[class].images[0]);
    let (zero, quarter, half) = (pixels(0)?, pixels(1)?, pixels(2)?);
    // Against the clock, as Pillow's `rotate`: the right column becomes the top row.
    let turn: Vec<u8> = (0..16)
        .flat_map(|y| (0..16).map(move |x| (y, x)))
        .map(|(y, x)| zero[x * 16 + 15 - y])
        .collect();
    let near = |a: &[u8], b: &[u8]| a[..256].iter().zip(b).all(|(a, b)| a.abs_diff(*b) <= 1);
    assert!(near(&quarter, &turn));
    let twice: Vec<u8> = zero[..256].iter().rev().copied().collect();
    assert!(near(&half, &twice));

    let lists = root.path().join("vinyals");
    fs::create_dir_all(&lists)?;
    fs::write(lists.join("train.txt"), "Latin/character01/rot000\nLatin/character01/rot270\n")?;
    fs::write(lists.join("test.txt"), "Greek/character02/rot000\n")?;
    let splits = format!("{}, splits: \"{}\"", at(root.path()), lists.display());
    let vinyals = open(&format!("{splits}, rotations: true"), "")?;
    assert_eq!(names(&vinyals, Split::Base), ["Latin/character01", "Latin/character01/rot270"]);
    assert_eq!(names(&vinyals, Split::Novel), ["Greek/character02"]);
    fs::write(lists.join("val.txt"), "Klingon/character01/rot000\n")?;
    let said = open(&splits, "").unwrap_err().to_string();
    assert!(said.contains("Klingon"), "{said}");
    Ok(())
}

#[test]
fn each_split_may_come_from_elsewhere() -> Outcome {
    let (own, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
    folders(own.path())?;
    omniglot(other.path())?;
    let more = format!("test: {{data: {{{}, classes: all}}}}\n", at(other.path()));
    let crossed = open(&at(own.path()), &more)?;
    assert_eq!(crossed.split(Split::Base).classes().len(), 3);
    assert_eq!(crossed.split(Split::Novel).classes().len(), 4, "all of the other's splits");
    let more = format!(
        "train: {{data: {{{}, classes: novel}}}}\nvalidate: {{data: {{{0}}}}}\ntest: {{data: {{{0}}}}}\n",
        at(own.path())
    );
    let crossed = open("root: nowhere, format: folder", &more)?;
    assert_eq!(crossed.split(Split::Base).classes()[0].name, "fox");
    let warnings = crossed.warnings();
    assert!(warnings.iter().any(|it| it.message.contains("both base and novel")), "{warnings:?}");
    let said = open(&at(own.path()), "test: {data: {root: nowhere}}\n").unwrap_err();
    assert!(said.to_string().contains("test.data.root"), "{said}");
    Ok(())
}

#[test]
fn small_classes_are_named_or_left_out() -> Outcome {
    let root = tempfile::tempdir()?;
    folders(root.path())?;
    fs::remove_file(root.path().join("train/bee/3.png"))?;
    let episode = fsct::config::Episode { n_way: 2, k_shot: 1, n_query: 3 };
    let dataset = open(&at(root.path()), "")?;
    let said = Sampler::new(dataset.split(Split::Base), episode, 1, Stream::Train)
        .unwrap_err()
        .to_string();
    assert!(said.contains("`bee` (3)"), "{said}");
    let dataset = open(&format!("{}, skip_small_classes: true", at(root.path())), "")?;
    let sampler = Sampler::new(dataset.split(Split::Base), episode, 1, Stream::Train)?;
    assert_eq!(sampler.skipped_classes(), 1);
    for number in 0..50 {
        let drawn = sampler.episode(number).classes;
        assert!(!drawn.contains(&1) && drawn.len() == 2, "{drawn:?}");
    }
    let wide = fsct::config::Episode { n_way: 3, ..episode };
    let said =
        Sampler::new(dataset.split(Split::Base), wide, 1, Stream::Train).unwrap_err().to_string();
    assert!(said.contains("skip_small_classes"), "{said}");
    Ok(())
}

/// Support and query are disjoint, classes and images uniform, and seven queries divide nothing.
#[test]
fn episodes_are_disjoint_and_uniform() -> Outcome {
    let root = tempfile::tempdir()?;
    for class in ["a", "b", "c", "d", "e"] {
        for image in 0..10 {
            save(&root.path().join(format!("train/{class}/{image}.png")), class, image)?;
        }
    }
    let dataset = open(&at(root.path()), "")?;
    let set = dataset.split(Split::Base);
    let sampler = Sampler::new(
        set,
        fsct::config::Episode { n_way: 3, k_shot: 2, n_query: 7 },
        9,
        Stream::Train,
    )?;
    let (mut classes, mut images) = ([0usize; 5], [0usize; 50]);
    for number in 0..3000 {
        let episode = sampler.episode(number);
        episode.classes.iter().for_each(|class| classes[*class] += 1);
        let mut all: Vec<usize> = episode.support.iter().chain(&episode.query).copied().collect();
        assert_eq!(all.len(), 3 * 9);
        episode.query.iter().for_each(|image| images[*image] += 1);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 3 * 9, "no image twice");
    }
    // 3000 · 3/5 = 1800 of each class, 1800 · 7/10 = 1260 of each image; five deviations.
    assert!(classes.iter().all(|count| count.abs_diff(1800) < 140), "{classes:?}");
    assert!(images.iter().all(|count| count.abs_diff(1260) < 170), "{images:?}");
    Ok(())
}

/// Counts of published splits, checked against the lists' sizes.
#[test]
fn a_published_name_with_other_counts_is_said() -> Outcome {
    for (name, counts, images) in [
        ("miniImageNet", [64, 16, 20], 600),
        ("CUB", [100, 50, 50], 3),
        ("cifar_fs", [64, 16, 20], 600),
    ] {
        for missing in [0, 1] {
            let parent = tempfile::tempdir()?;
            let root = parent.path().join(name);
            fs::create_dir_all(&root)?;
            for (split, count) in ["base", "val", "novel"].iter().zip(counts) {
                let count = count - if *split == "novel" { missing } else { 0 };
                let names: Vec<String> =
                    (0..count).map(|class| format!("{split}{class}")).collect();
                let labels: Vec<usize> = (0..count * images).map(|at| at / images).collect();
                let files: Vec<String> =
                    (0..count * images).map(|at| format!("{split}{at}.png")).collect();
                let list = serde_json::json!({"label_names": names, "image_names": files, "image_labels": labels});
                fs::write(root.join(format!("{split}.json")), list.to_string())?;
            }
            let listing =
                data::list(fsct::config::Format::Filelist, Some(&root), data::Options::default())?;
            assert_eq!(listing.items.len(), (counts.iter().sum::<usize>() - missing) * images);
            let said = data::published(fsct::config::Format::Filelist, &root, &listing);
            assert_eq!(said.is_some(), missing == 1, "{name}: {said:?}");
        }
    }
    Ok(())
}

/// The number of threads, and the order in which they come, change nothing.
#[test]
fn augmented_episodes_are_the_same_on_any_number_of_threads() -> Outcome {
    let root = tempfile::tempdir()?;
    folders(root.path())?;
    let dataset =
        open(&format!("{}, augment: standard, normalize: imagenet", at(root.path())), "")?;
    let set = dataset.split(Split::Base);
    let sampler = Sampler::new(
        set,
        fsct::config::Episode { n_way: 3, k_shot: 1, n_query: 3 },
        5,
        Stream::Train,
    )?;
    let read = |threads: usize, number: u64| -> Result<Vec<f32>, Box<dyn Error>> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        let episode = sampler.episode(number);
        let images: Vec<usize> = episode.support.iter().chain(&episode.query).copied().collect();
        let seed = |place: usize| Some(sampler.image_seed(number, images[place]));
        Ok(pool.install(|| set.read_all(&images, seed))?)
    };
    assert_eq!(read(1, 3)?, read(7, 3)?);
    let image = sampler.episode(3).support[0];
    let mut two = [vec![0.0; 768], vec![0.0; 768]];
    for (number, values) in two.iter_mut().enumerate() {
        set.read(image, Some(sampler.image_seed(number as u64, image)), values)?;
    }
    assert_ne!(two[0], two[1], "each episode changes an image anew");
    let mut plain = vec![0.0; 768];
    set.read(image, None, &mut plain)?;
    assert_ne!(plain, two[0], "and testing does not");
    Ok(())
}

#[test]
fn every_cache_gives_the_same() -> Outcome {
    let root = tempfile::tempdir()?;
    folders(root.path())?;
    for cache in ["memory", "disk", "none"] {
        let dataset = open(&format!("{}, cache: {cache}, cache_mib: 1", at(root.path())), "")?;
        assert_eq!(content(&dataset)?, expected()?, "{cache}");
        assert_eq!(content(&dataset)?, expected()?, "{cache}, again");
    }
    Ok(())
}

#[test]
fn nothing_that_is_known_is_said_so() -> Outcome {
    let root = tempfile::tempdir()?;
    fs::write(root.path().join("readme.txt"), "")?;
    let said = open(&at(root.path()), "").unwrap_err().to_string();
    assert!(said.contains("holds no data set"), "{said}");
    let said = open(&at(&PathBuf::from("no/where")), "").unwrap_err().to_string();
    assert!(said.contains("does not exist"), "{said}");
    Ok(())
}
