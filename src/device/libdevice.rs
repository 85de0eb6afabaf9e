//! libdevice, NVIDIA's library of math functions (`erf`, `pow`, …) as LLVM bitcode, which is linked into kernels
//! when they are compiled. It comes with the CUDA toolkit and with wheels on PyPI, not with the driver.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use super::cache;
use crate::atomic_file;

const FILE: &str = "libdevice.10.bc";
/// Where a toolkit has it.
const IN_TOOLKIT: &str = "nvvm/libdevice/libdevice.10.bc";
/// Where wheels have it, from `site-packages`.
const IN_WHEELS: [&str; 2] =
    ["nvidia/*/nvvm/libdevice/libdevice.10.bc", "triton/backends/nvidia/lib/libdevice.10.bc"];
/// Folders of toolkits; later versions come last in a pattern's order and are tried first.
const TOOLKITS: [&str; 5] =
    ["/usr/local/cuda", "/usr/local/cuda-*", "/opt/cuda", "/usr/lib/cuda", "/usr"];

/// Finds libdevice, in the order CUDA_PATH, the toolkit's usual folders, the wheels of the active Python, our cache
/// folder. Returns a toolkit's root: a folder with `nvvm/libdevice/libdevice.10.bc`.
///
/// # Errors
/// What it is and the command that gets it.
pub(crate) fn toolkit_root() -> Result<PathBuf, String> {
    let from_env = env::var_os("CUDA_PATH").map(PathBuf::from);
    let usual =
        TOOLKITS.iter().flat_map(|pattern| matches(pattern)).map(|root| root.join(IN_TOOLKIT));
    let named = from_env.into_iter().map(|root| root.join(IN_TOOLKIT));
    let file = named
        .chain(usual)
        .find(|file| file.is_file())
        .or_else(|| python_folders().iter().find_map(|folder| in_wheels(folder)))
        .or_else(|| in_wheels(&wheels()))
        .ok_or_else(missing)?;
    root_of(&file)
}

/// The folder that the command below installs into.
fn wheels() -> PathBuf {
    cache::folder().join("wheels")
}

fn missing() -> String {
    format!(
        "{FILE} was not found, which kernels with math functions are compiled with: it comes with the CUDA toolkit \
         (`CUDA_PATH`, /usr/local/cuda), or by itself:\n\n    python3 -m pip install --no-deps --target {} \
         nvidia-cuda-nvcc-cu12",
        wheels().display()
    )
}

fn in_wheels(site_packages: &Path) -> Option<PathBuf> {
    IN_WHEELS.iter().find_map(|inside| {
        let pattern = site_packages.join(inside);
        matches(pattern.to_str()?).into_iter().find(|file| file.is_file())
    })
}

fn matches(pattern: &str) -> Vec<PathBuf> {
    let Ok(paths) = glob::glob(pattern) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = paths.filter_map(Result::ok).collect();
    paths.reverse();
    paths
}

/// `site-packages` of the active environment, else of the `python3` that a shell would run.
fn python_folders() -> Vec<PathBuf> {
    let active =
        ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(env::var_os).map(PathBuf::from);
    let mut folders: Vec<PathBuf> = active
        .flat_map(|prefix| {
            let (unix, windows) =
                (prefix.join("lib/python3*/site-packages"), prefix.join("Lib/site-packages"));
            [unix, windows]
                .iter()
                .filter_map(|it| it.to_str())
                .flat_map(matches)
                .collect::<Vec<_>>()
        })
        .collect();
    if folders.is_empty() {
        let script =
            "import sys; print('\\n'.join(p for p in sys.path if p.endswith('-packages')))";
        let output = std::process::Command::new("python3").args(["-c", script]).output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        folders.extend(text.unwrap_or_default().lines().map(PathBuf::from));
    }
    folders
}

/// The root above `nvvm/libdevice`; a file that lies elsewhere is copied under such a root in the cache folder.
fn root_of(file: &Path) -> Result<PathBuf, String> {
    if file.ends_with(IN_TOOLKIT)
        && let Some(root) = file.ancestors().nth(3)
    {
        return Ok(root.to_owned());
    }
    let root = cache::folder().join("toolkit");
    let target = root.join(IN_TOOLKIT);
    let copied = || -> io::Result<()> {
        if !target.is_file() {
            // Complete or absent: another process may look for it at the same time.
            let mut source = fs::File::open(file)?;
            atomic_file::write_with(&target, |copy| io::copy(&mut source, copy).map(drop))?;
        }
        Ok(())
    };
    copied().map_err(|error| {
        format!("cannot copy {} to {}: {error}", file.display(), target.display())
    })?;
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "bitcode").unwrap();
    }

    #[test]
    fn it_is_found_in_either_wheel() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(in_wheels(folder.path()), None);
        let triton = folder.path().join("triton/backends/nvidia/lib").join(FILE);
        put(&triton);
        assert_eq!(in_wheels(folder.path()), Some(triton));
        let nvcc = folder.path().join("nvidia/cuda_nvcc").join(IN_TOOLKIT);
        put(&nvcc);
        let found = in_wheels(folder.path()).unwrap();
        assert_eq!(found, nvcc);
        assert_eq!(root_of(&found).unwrap(), folder.path().join("nvidia/cuda_nvcc"));
    }

    #[test]
    fn later_toolkits_come_first() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["cuda-11.8", "cuda-12.8"] {
            put(&folder.path().join(name).join(IN_TOOLKIT));
        }
        let found = matches(folder.path().join("cuda-*").to_str().unwrap());
        assert_eq!(found[0], folder.path().join("cuda-12.8"));
    }

    #[test]
    fn its_absence_names_the_command() {
        let message = missing();
        assert!(message.contains("pip install --no-deps --target"), "{message}");
        assert!(message.contains("nvidia-cuda-nvcc-cu12"), "{message}");
    }
}
