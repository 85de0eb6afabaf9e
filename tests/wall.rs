//! The wall of the crate: what describes a run never knows what computes it.

use std::{error::Error, fs, path::Path};

#[test]
fn config_and_plan_never_name_burn() -> Result<(), Box<dyn Error>> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut scanned = 0;
    for folder in ["config", "plan"].map(|name| source.join(name)) {
        let mut folders = vec![folder];
        while let Some(folder) = folders.pop() {
            if !folder.exists() {
                continue;
            }
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                for (number, line) in fs::read_to_string(&path)?.lines().enumerate() {
                    let code = line.split("//").next().unwrap_or_default();
                    assert!(
                        !code.contains("burn::")
                            && !code.contains("burn_")
                            && !code.contains("use burn"),
                        "{}:{} names burn: {line}",
                        path.display(),
                        number + 1,
                    );
                }
                scanned += 1;
            }
        }
    }
    assert!(scanned > 10, "only {scanned} files were scanned");
    Ok(())
}
