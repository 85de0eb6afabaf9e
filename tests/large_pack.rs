//! A pack is read in place: opening a large one reads its index alone.
//!
//! Alone in its program, as it reads the program's resident memory.
#![cfg(target_os = "linux")]

use std::error::Error;
use std::fs;
use std::path::Path;

use fsct::data::{ImageShape, Split, pack::PackWriter};

#[test]
fn a_large_pack_opens_at_once_and_stays_on_disk() -> Result<(), Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    let path = place.path().join("large.fsct");
    let shape = ImageShape { channels: 3, height: 84, width: 84 };
    let mut writer = PackWriter::create(&path, shape, false)?;
    let pixels = vec![7; shape.values()];
    for class in 0..100 {
        let split = if class < 64 {
            Split::Base
        } else if class < 80 {
            Split::Val
        } else {
            Split::Novel
        };
        for image in 0..600 {
            let name = format!("n{class:08}/n{class:08}_{image:08}.jpg");
            writer.add(split, &format!("n{class:08}"), &name, &pixels)?;
        }
    }
    writer.finish()?;
    let text = format!(
        "data: {{root: \"{}\"}}\nbackbone: {{kind: conv4}}\nmethod: {{kind: fsct}}\n",
        path.display()
    );
    let loaded = fsct::config::load_str("x", &text, &fsct::config::Overrides::default())?;
    let resident = || -> Result<usize, Box<dyn Error>> {
        let statm = fs::read_to_string("/proc/self/statm")?;
        Ok(statm.split(' ').nth(1).ok_or("resident")?.parse::<usize>()? * 4096)
    };
    let before = resident()?;
    let start = std::time::Instant::now();
    let data = fsct::data::open(&loaded.pipeline, Path::new("."))?;
    let (seconds, grown) = (start.elapsed().as_secs_f64(), resident()?.saturating_sub(before));
    assert_eq!(Split::ALL.map(|split| data.split(split).classes().len()), [64, 16, 20]);
    println!("{:.1} ms, {:.1} MB", 1000.0 * seconds, grown as f64 / 1e6);
    assert!(grown < 20_000_000, "{grown} bytes resident");
    // The cores may be shared: the bar is that of a quiet machine, the limit is not.
    assert!(seconds < 0.5, "{seconds} s");
    Ok(())
}
