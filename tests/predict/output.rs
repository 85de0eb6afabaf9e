//! What is printed, copied and drawn, in each format.

use super::*;

#[test]
fn every_format_has_a_line_for_each_image_with_its_class() {
    let place = trained(PIPELINE);
    let (code, out, err) = said(&predict(&place, &["--support", "support", "new"]));
    assert_eq!(code, Some(0), "{err}");
    assert!(err.ends_with("9 images classified\n"), "{err}");
    assert_eq!(out.lines().count(), 9, "{out}");
    for line in out.lines() {
        let (file, classes) = line.split_once(": ").unwrap();
        assert!(classes.starts_with(&format!("{} ", shape_of(file))), "{line}");
        assert!(classes.contains(" %, then "), "{line}");
    }

    let ask = |more: &[&str]| {
        let arguments = [&["--support", "support", "new"], more].concat();
        let (code, out, err) = said(&predict(&place, &arguments));
        assert_eq!(code, Some(0), "{err}");
        out
    };
    for line in json(&ask(&["--format", "json", "--top", "9"])) {
        assert_eq!(line["class"], shape_of(line["file"].as_str().unwrap()), "{line}");
        let top = line["top"].as_array().unwrap();
        let probabilities: Vec<f64> =
            top.iter().map(|it| it["probability"].as_f64().unwrap()).collect();
        assert_eq!(probabilities.len(), 3, "all classes, no more: {line}");
        assert!(probabilities.is_sorted_by(|a, b| a >= b), "{line}");
        assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{line}");
        assert_eq!(line["probability"], top[0]["probability"]);
        assert_eq!(line["class"], top[0]["class"]);
    }
    assert_eq!(json(&ask(&["--format", "json"]))[0]["top"].as_array().unwrap().len(), 2);

    let table = ask(&["--format", "csv", "--top", "1"]);
    let mut rows = csv::Reader::from_reader(table.as_bytes());
    let header = ["file", "class", "class_1", "probability_1", "error"];
    assert_eq!(rows.headers().unwrap(), header.to_vec());
    let rows: Vec<_> = rows.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 9);
    for row in rows {
        assert_eq!((&row[1], &row[2], &row[4]), (shape_of(&row[0]), shape_of(&row[0]), ""));
        assert!(row[3].parse::<f64>().unwrap() > 1.0 / 3.0);
    }
}

#[test]
fn images_that_cannot_be_read_are_listed_and_skipped() {
    let place = trained(PIPELINE);
    fs::write(place.path().join("new/broken.png"), "no image").unwrap();
    let (code, out, err) = said(&predict(&place, &["--support", "support", "new", "absent.jpg"]));
    assert_eq!(code, Some(1));
    assert_eq!(out.lines().count(), 9);
    assert!(err.contains("skipped: new/broken.png is not an image"), "{err}");
    assert!(err.contains("skipped: absent.jpg"), "{err}");
    assert!(
        err.ends_with("9 images classified, 2 skipped: not images that can be read\n"),
        "{err}"
    );

    for format in ["json", "csv"] {
        let arguments = ["--support", "support", "new", "--format", format];
        let (code, out, _) = said(&predict(&place, &arguments));
        assert_eq!(code, Some(1));
        let broken: Vec<_> = out.lines().filter(|it| it.contains("broken.png")).collect();
        let [line] = broken[..] else { panic!("{out}") };
        if format == "json" {
            assert!(json(line)[0]["error"].as_str().unwrap().contains("first bytes"), "{line}");
        } else {
            assert!(line.starts_with("new/broken.png,,,,,,") && line.len() > 25, "{line}");
        }
    }
    let (code, out, _) = said(&predict(&place, &["--support", "support", "new/broken.png"]));
    assert_eq!((code, out.as_str()), (Some(1), ""));
}

#[test]
fn improbable_classes_are_rejected_and_not_copied() {
    let place = trained(PIPELINE);
    let ask = |more: &[&str]| {
        let arguments = [&["--support", "support", "new"], more].concat();
        said(&predict(&place, &arguments))
    };
    let lines = json(&ask(&["--format", "json"]).1);
    let mut probabilities: Vec<f64> =
        lines.iter().map(|it| it["probability"].as_f64().unwrap()).collect();
    probabilities.sort_by(f64::total_cmp);
    let limit = f64::midpoint(probabilities[3], probabilities[4]).to_string();
    let (code, out, err) = ask(&["--reject", &limit, "--copy-into", "sorted"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("5 images classified, 4 below"), "{err}");
    assert_eq!(out.matches(": none of these (").count(), 4, "{out}");
    let rejected = |line: &&Value| line["class"].is_null();
    assert_eq!(
        json(&ask(&["--format", "json", "--reject", &limit]).1).iter().filter(rejected).count(),
        4
    );
    let copies = || -> usize {
        let classes = fs::read_dir(place.path().join("sorted")).unwrap();
        classes.map(|class| fs::read_dir(class.unwrap().path()).unwrap().count()).sum()
    };
    assert_eq!(copies(), 5);

    let (code, _, err) = ask(&["--move-into", "sorted"]);
    assert_eq!((code, copies()), (Some(0), 9), "{err}");
    for shape in SHAPES {
        for number in 20..23 {
            let name = format!("{shape}{number}.png");
            let copy = place.path().join("sorted").join(shape).join(&name);
            assert_eq!(
                fs::read(copy).unwrap(),
                fs::read(place.path().join("new").join(&name)).unwrap()
            );
        }
    }
    let taken = place.path().join("sorted/disk/disk21.png");
    fs::write(&taken, "mine").unwrap();
    let (code, out, err) = ask(&["--copy-into", "sorted"]);
    assert_eq!((code, out.lines().count()), (Some(1), 9));
    assert!(err.contains("not copied: new/disk21.png: sorted/disk/disk21.png"), "{err}");
    assert_eq!(fs::read(taken).unwrap(), b"mine");
}

#[test]
fn a_contact_sheet_shows_the_images_by_class() {
    let place = trained(PIPELINE);
    fs::write(place.path().join("new/broken.png"), "no image").unwrap();
    let arguments = ["--support", "support", "new", "--sheet", "sheet.png"];
    let (code, _, err) = said(&predict(&place, &arguments));
    assert_eq!(code, Some(1), "{err}");
    let sheet = image::open(place.path().join("sheet.png")).unwrap().to_rgb8();
    // Nine images in two rows of up to eight.
    assert_eq!(sheet.dimensions(), (8 * 126 + 6, 2 * 150 + 6));
    let light = |x: u32, y: u32| sheet.get_pixel(x, y).0.iter().all(|it| *it > 250);
    let ink = |left: u32, top: u32| {
        let points = (0..120).flat_map(|x| (0..22).map(move |y| (left + x, top + y)));
        points.filter(|(x, y)| sheet.get_pixel(*x, *y).0 == [0; 3]).count()
    };
    // The classes in the order of their names: columns, disk, rows; the last row has one image.
    let middle = |number: u32| *sheet.get_pixel(6 + number * 126 + 50, 6 + 54);
    assert!((3..6).all(|number| middle(number).0[0] > 150), "disks are bright in the middle");
    for number in 0..8 {
        assert!(ink(6 + number * 126, 128) > 60, "label {number}");
    }
    assert!(ink(6, 278) > 60 && !light(10, 160) && light(140, 200) && ink(132, 278) == 0);
}

#[test]
fn images_come_from_patterns_and_standard_input() {
    let place = trained(PIPELINE);
    let (code, out, err) =
        said(&predict(&place, &["--support", "support", "new/d*.png", "new/rows20.png"]));
    assert_eq!(code, Some(0), "{err}");
    let files: Vec<_> = out.lines().filter_map(|it| it.split(':').next()).collect();
    assert_eq!(files, ["new/disk20.png", "new/disk21.png", "new/disk22.png", "new/rows20.png"]);

    let run = place.run_folder();
    let mut command =
        place.command(&["predict", run.to_str().unwrap(), "--support", "support", "-"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"new/rows21.png\nnew/columns20.png\n").unwrap();
    let (code, out, err) = said(&child.wait_with_output().unwrap());
    assert_eq!(code, Some(0), "{err}");
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines.len(), 2, "{out}");
    assert!(lines[0].starts_with("new/rows21.png: rows "), "{out}");
    assert!(lines[1].starts_with("new/columns20.png: columns "), "{out}");
}
