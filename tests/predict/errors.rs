//! What a user does wrong, and what has gone away.

use super::*;

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let place = trained(PIPELINE);
    let run = place.run_folder();
    let mut command =
        place.command(&["predict", run.to_str().unwrap(), "--support", "support", "new"]);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let (code, _, err) = said(&command.stdout(full).output().unwrap());
    assert_eq!(code, Some(2));
    assert!(err.contains("cannot write to standard output"), "{err}");
}

#[test]
fn bad_input_is_an_error_with_the_next_action() {
    let place = trained(PIPELINE);
    let fails = |arguments: &[&str], code: i32, parts: &[&str]| {
        let (found, out, err) = said(&predict(&place, arguments));
        assert_eq!((found, out.as_str()), (Some(code), ""), "{arguments:?}: {err}");
        let err = flat(&err);
        assert!(parts.iter().all(|part| err.contains(part)), "{arguments:?}: {err}");
    };
    fails(&["--support", "nowhere", "new"], 2, &["support folder nowhere does not exist"]);
    fails(&["--support", "new", "new"], 2, &["new has no class folders", "new/CLASS/"]);
    let one = place.path().join("one");
    draw(&one.join("disk"), "disk", 0..2);
    fails(&["--support", "one", "new"], 2, &["one class folder, `disk`", "at least 2"]);
    fs::create_dir(one.join("empty")).unwrap();
    fails(&["--support", "one", "new"], 2, &["class `empty`", "has no image"]);
    fs::write(one.join("empty/x.png"), "no image").unwrap();
    fails(&["--support", "one", "new"], 2, &["empty/x.png is not an image", "on_bad_image: skip"]);
    fails(&["--support", "support", "new/*.bmp"], 2, &["`new/*.bmp` names no image"]);
    fails(&["--support", "support", "new", "--reject", "2"], 2, &["from 0 to 1"]);
    fails(&["--support", "support", "new", "--top", "0"], 2, &["at least 1"]);
    fails(&["--support", "support", "new", "--set", "method.kind=ctx"], 1, &["fixes"]);

    let output = place.fsct(&["predict", "shapes", "--support", "support", "new"]);
    let (code, _, err) = said(&output);
    assert_eq!(code, Some(2));
    assert!(err.contains("there is no checkpoint in shapes"), "{err}");
}

/// A checkpoint is enough: only a guessed layout needs the data set, to tell photographs from drawings.
#[test]
fn the_data_of_the_run_may_be_gone() {
    let place = trained(PIPELINE);
    fs::remove_dir_all(place.path().join("shapes")).unwrap();
    let (code, out, err) = said(&predict(&place, &["--support", "support", "new"]));
    assert_eq!((code, out.lines().count()), (Some(0), 9), "{err}");

    let guessed = trained(&PIPELINE.replace("format: folder, ", ""));
    fs::remove_dir_all(guessed.path().join("shapes")).unwrap();
    let (code, _, err) = said(&predict(&guessed, &["--support", "support", "new"]));
    assert_eq!(code, Some(1), "{err}");
    assert!(flat(&err).contains("data.format=folder"), "{err}");
    let arguments = ["--support", "support", "new", "--set", "data.format=folder"];
    let (code, again, err) = said(&predict(&guessed, &arguments));
    assert_eq!((code, again), (Some(0), out), "{err}");
}
