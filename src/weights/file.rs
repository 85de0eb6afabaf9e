use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use burn::store::burn_pack::{Reader, Tensor as Stored};
use burn::store::pytorch::PytorchReader;
use burn::store::{ModuleStore, SafetensorsStore, bridge};
use burn::tensor::{Bytes, DType, TensorData};
use zip::ZipArchive;

use super::WeightsError;
use super::foreign::{Foreign, plain_pickle, whole_model};

/// A file of named tensors; their values are read when asked for.
///
/// | format | written by |
/// |---|---|
/// | `.pth`, `.pt`, `.pt.tar`, `.tar` | `torch.save`, of any age: zip, legacy stream or tar |
/// | `.safetensors` | the safetensors libraries, `fsct export` |
/// | `.ckpt` | this program |
///
/// The content decides, not the suffix. A pickle is *parsed*: no object in it is built and no function
/// is called, so a hostile file can at most be refused.
#[derive(Debug)]
pub struct WeightsFile {
    path: PathBuf,
    tensors: BTreeMap<String, Stored>,
    /// Names of tensors that are read as one, under a name that the file does not have.
    joined: BTreeMap<String, Vec<String>>,
}

/// What a file's first bytes say.
enum Format {
    Checkpoint,
    Safetensors,
    Pytorch,
}

impl WeightsFile {
    /// Reads the names, types and shapes of a file.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let unreadable = |reason: String| WeightsError::Unreadable {
            path: path.to_owned(),
            reason,
            help: "the file is incomplete or holds no weights; save or download it again".into(),
        };
        let foreign = |Foreign { reason, help }: Foreign| WeightsError::Unreadable {
            path: path.to_owned(),
            reason,
            help,
        };
        let tensors = match sniff(path)? {
            Format::Checkpoint => read_checkpoint(path).map_err(unreadable)?,
            Format::Safetensors => SafetensorsStore::from_file(path)
                .get_all_tensors()
                .map_err(|error| unreadable(error.to_string()))?
                .clone(),
            Format::Pytorch => {
                if let Some(pickle) = plain_pickle(path) {
                    return Err(foreign(pickle));
                }
                PytorchReader::new(path)
                    .map_err(|error| {
                        let error = error.to_string();
                        match whole_model(path, &error) {
                            Some(model) => foreign(model),
                            None => unreadable(error),
                        }
                    })?
                    .into_tensors()
                    .into_iter()
                    .map(|(name, tensor)| (name, bridge::from_pytorch(tensor)))
                    .collect()
            }
        };
        if tensors.is_empty() {
            return Err(unreadable("it has no tensors".into()));
        }
        Ok(Self { path: path.to_owned(), tensors, joined: BTreeMap::new() })
    }

    /// The same file, whose tensors that are named alike but for one part are read as one, along their first
    /// dimension: `a.query.weight`, `a.key.weight` and `a.value.weight` as `a.qkv.weight`. Those of other types or shapes
    /// than each other stay as they are.
    #[must_use]
    pub fn joining(mut self, parts: [&str; 3], whole: &str) -> Self {
        let firsts: Vec<&String> = self.tensors.keys().collect();
        let mut joined = BTreeMap::new();
        for name in firsts {
            let names: Vec<&str> = name.split('.').collect();
            let Some(at) = names.iter().rposition(|part| *part == parts[0]) else { continue };
            let with = |part: &str| {
                let mut names = names.clone();
                names[at] = part;
                names.join(".")
            };
            let alike = |other: &String| {
                let (own, other) = (&self.tensors[name], self.tensors.get(other));
                other.is_some_and(|it| it.shape == own.shape && it.dtype == own.dtype)
            };
            let all: Vec<String> = parts.into_iter().map(with).collect();
            let whole = with(whole);
            if all.iter().all(alike) && !self.tensors.contains_key(&whole) {
                joined.insert(whole, all);
            }
        }
        self.joined = joined;
        self
    }

    /// Path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of the tensors: those of joined ones last, without their parts'.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let parts: BTreeSet<&String> = self.joined.values().flatten().collect();
        let own = self.tensors.keys().filter(move |name| !parts.contains(name));
        own.chain(self.joined.keys()).map(String::as_str)
    }

    /// Dimensions of a tensor.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        if let Some(parts) = self.joined.get(name) {
            let mut shape = self.shape(parts.first()?)?;
            *shape.first_mut()? *= parts.len();
            return Some(shape);
        }
        self.tensors.get(name).map(|tensor| tensor.shape.to_vec())
    }

    /// Type of a tensor that cannot be weights: anything but floating-point numbers.
    pub fn wrong_type(&self, name: &str) -> Option<String> {
        let part = self.joined.get(name).and_then(|parts| parts.first());
        let dtype = self.tensors.get(part.map_or(name, String::as_str))?.dtype;
        match dtype {
            DType::F64 | DType::F32 | DType::F16 | DType::BF16 => None,
            other => Some(format!("{other:?}").to_lowercase()),
        }
    }

    /// Values of a tensor, row-major, as f32.
    pub fn values(&self, name: &str) -> Result<Vec<f32>, WeightsError> {
        self.try_values(name).map_err(|reason| WeightsError::Unreadable {
            path: self.path.clone(),
            reason: format!("tensor `{name}`: {reason}"),
            help: "it is incomplete or damaged; save or download it again".into(),
        })
    }

    /// Why the values of a tensor cannot be used, if they cannot.
    pub(super) fn value_fault(&self, name: &str) -> Option<String> {
        self.try_values(name).err().map(|reason| format!("tensor `{name}`: {reason}"))
    }

    fn try_values(&self, name: &str) -> Result<Vec<f32>, String> {
        if let Some(parts) = self.joined.get(name) {
            let mut values = Vec::new();
            for part in parts {
                values.append(&mut self.try_values(part)?);
            }
            return Ok(values);
        }
        let tensor = self.tensors.get(name).ok_or("there is none")?;
        if let Some(dtype) = self.wrong_type(name) {
            return Err(format!("it holds {dtype}, not floating-point numbers"));
        }
        let bytes = tensor.to_bytes().map_err(|error| error.to_string())?;
        let expected: usize = tensor.shape.iter().product::<usize>() * tensor.dtype.size();
        if bytes.len() != expected {
            return Err(format!("it has {} bytes in place of {expected}", bytes.len()));
        }
        let values = TensorData::from_bytes(bytes, tensor.shape.clone(), tensor.dtype)
            .convert::<f32>()
            .try_into_vec::<f32>()
            .map_err(|error| format!("{error:?}"))?;
        match values.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(format!("value {at} is not finite")),
            None => Ok(values),
        }
    }
}

fn sniff(path: &Path) -> Result<Format, WeightsError> {
    let unreadable = |reason: String, help: &str| WeightsError::Unreadable {
        path: path.to_owned(),
        reason,
        help: help.to_owned(),
    };
    let mut head = Vec::new();
    File::open(path)
        .and_then(|file| file.take(64).read_to_end(&mut head))
        .map_err(|error| unreadable(error.to_string(), "name a weights file that is there"))?;
    if head.starts_with(b"version https://git-lfs") {
        let help = "fetch the file itself with `git lfs pull`";
        return Err(unreadable("it is a Git LFS pointer".into(), help));
    }
    if head.starts_with(b"PK\x03\x04") {
        let own = File::open(path)
            .ok()
            .and_then(|file| ZipArchive::new(file).ok())
            .is_some_and(|zip| zip.index_for_name("model.bpk").is_some());
        return Ok(if own { Format::Checkpoint } else { Format::Pytorch });
    }
    // Eight bytes of length, then a JSON object.
    if head.get(8) == Some(&b'{') || path.extension().is_some_and(|end| end == "safetensors") {
        return Ok(Format::Safetensors);
    }
    Ok(Format::Pytorch)
}

/// The model of one of our checkpoints, in Burn's layout: linear weights are `[in, out]` there.
fn read_checkpoint(path: &Path) -> Result<BTreeMap<String, Stored>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut zip = ZipArchive::new(file).map_err(|error| error.to_string())?;
    let mut model = zip.by_name("model.bpk").map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    model.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    let tensors = Reader::from_bytes(Bytes::from_bytes_vec(bytes))
        .and_then(Reader::into_tensors)
        .map_err(|error| error.to_string())?;
    Ok(tensors.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect())
}
