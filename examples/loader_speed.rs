//! Images a second of the loader, and CPU milliseconds an image: `loader_speed ROOT [AUGMENT [SECONDS]]`, 5-way 5-shot 16-query
//! episodes at 84 px, each decoded anew. `benches/loader.py` compares it with PyTorch's.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use fsct::config::{Episode, Overrides, load_str};
use fsct::data::{self, Loader, Sampler, Split, Stream};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let root = arguments.next().ok_or("name the data set's root")?;
    let augment = arguments.next().unwrap_or_else(|| "none".into());
    let seconds: f64 = arguments.next().map_or(Ok(10.0), |text| text.parse())?;
    let text = format!(
        "data: {{root: \"{root}\", image_size: 84, cache: none, normalize: imagenet, augment: {augment}}}\n\
         backbone: {{kind: conv4}}\nmethod: {{kind: fsct}}\n"
    );
    let pipeline = load_str("loader_speed", &text, &Overrides::default())?.pipeline;
    let opening = Instant::now();
    let data = data::open(&pipeline, Path::new("."))?;
    eprintln!("opened in {:.1} ms", 1000.0 * opening.elapsed().as_secs_f64());
    let shape = Episode { n_way: 5, k_shot: 5, n_query: 16 };
    let set = data.split(Split::Base).clone();
    let sampler = Sampler::new(&set, shape, 1, Stream::Train)?;
    let mut loader = Loader::new(set.clone(), sampler, 0..u64::MAX)?;
    // What was prepared ahead would count for nothing.
    let warm = Instant::now();
    while warm.elapsed() < Duration::from_secs_f64(seconds / 10.0) {
        loader.next().ok_or("an episode")??;
    }
    let (start, used, mut images, mut sum) = (Instant::now(), cpu_seconds(), 0u32, 0.0);
    while start.elapsed() < Duration::from_secs_f64(seconds) {
        let batch = loader.next().ok_or("an episode")??;
        images += 105;
        sum += f64::from(set.values(&batch.images)[0]);
    }
    assert!(sum.is_finite());
    let (seconds, used) = (start.elapsed().as_secs_f64(), cpu_seconds() - used);
    let images = f64::from(images);
    println!("{:.1} {:.4}", images / seconds, 1000.0 * used / images);
    Ok(())
}

/// Seconds that this process has computed, in ticks of 10 ms; 0 where Linux does not say.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after.split_whitespace().skip(11).take(2);
    ticks.filter_map(|it| it.parse::<f64>().ok()).sum::<f64>() / 100.0
}
