//! Classifies images of your own from a program of your own: the library call behind `fsct predict`.
//!
//! ```sh
//! cargo run --release --example predict -- RUN SUPPORT IMAGE…
//! ```

use std::path::{Path, PathBuf};

use fsct::Error;
use fsct::data::{Item, ItemFile, Split};
use fsct::run::predict::Predictor;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(run), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("usage: predict RUN SUPPORT IMAGE…".into());
    };
    let images: Vec<Item> = arguments
        .map(|path| Item::new(Split::Novel, "", path.clone(), ItemFile::Path(PathBuf::from(path))))
        .collect();
    let names: Vec<String> = images.iter().map(|image| image.name.clone()).collect();

    let predictor = Predictor::open(Path::new(&run))?;
    // Embedded once; images are then classified in batches.
    let support = predictor.support(Path::new(&folder))?;
    predictor.predict(&support, images, &mut |number, prediction| -> Result<(), Error> {
        match prediction {
            Ok(prediction) => {
                let best = prediction.best();
                let class = &support.classes()[best.class];
                println!("{}: {class}, {:.1} %", names[number], 100.0 * best.probability);
            }
            Err(error) => eprintln!("{error}"),
        }
        Ok(())
    })?;
    Ok(())
}
