//! How many pipeline files a second one core checks.
//!
//! `cargo run --release --example validate_speed [FILES]`

use std::{error::Error, fs, time::Instant};

use fsct::config::{Overrides, load};

fn main() -> Result<(), Box<dyn Error>> {
    let count = std::env::args().nth(1).map_or(Ok(2000), |count| count.parse::<usize>())?;
    let folder = tempfile::tempdir()?;
    let good = fs::read_to_string("pipelines/omniglot.yaml")?;
    for (name, text) in [("good", good.clone()), ("bad", good.replace("amp: off", "apm: f61"))] {
        let paths: Vec<_> =
            (0..count).map(|index| folder.path().join(format!("{name}{index}.yaml"))).collect();
        for path in &paths {
            fs::write(path, &text)?;
        }
        // The schema is built once per process, not once per file.
        let first = Instant::now();
        let _ = load(&paths[0], &Overrides::default());
        let first = first.elapsed();
        let start = Instant::now();
        let faults: usize = paths
            .iter()
            .map(|path| load(path, &Overrides::default()).map_or_else(|faults| faults.len(), |_| 0))
            .sum();
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{name}: {:.0} files/s, {faults} faults, first file {first:.1?}",
            count as f64 / seconds
        );
    }
    Ok(())
}
