//! Files that hold no state dict: what they are, and what to save instead.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use zip::ZipArchive;

/// What a file is that cannot be read as weights, and the next action.
pub(super) struct Foreign {
    pub reason: String,
    pub help: String,
}

/// First bytes of `torch.save` before PyTorch 1.6: protocol 2, then its magic number.
const LEGACY_TORCH: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";
/// How far into a pickle a module's name is looked for.
const LOOKED_AT: u64 = 1 << 16;

/// Recognises a plain pickle, before the file is given to the reader of PyTorch's formats.
pub(super) fn plain_pickle(path: &Path) -> Option<Foreign> {
    let mut head = Vec::new();
    File::open(path).ok()?.take(LOOKED_AT).read_to_end(&mut head).ok()?;
    let protocol = head.get(1).is_some_and(|byte| (2..=5).contains(byte));
    if head.first() != Some(&0x80) || !protocol || head.starts_with(LEGACY_TORCH) {
        return None;
    }
    // A legacy file that is cut short is still PyTorch's.
    if head.len() < LEGACY_TORCH.len() && LEGACY_TORCH.starts_with(&head) {
        return None;
    }
    let of_numpy = head.windows(5).any(|word| word == b"numpy");
    let reason = if of_numpy {
        "it is a pickle of numpy arrays, not a file of `torch.save`"
    } else {
        "it is a pickle that `torch.save` did not write"
    };
    Some(Foreign {
        reason: reason.into(),
        help: "save the tensors with PyTorch: `torch.save({name: torch.as_tensor(array) for name, array in \
               weights.items()}, 'weights.pth')`"
            .into(),
    })
}

/// Recognises a whole model by what PyTorch's reader says of it, and TorchScript by its parts.
pub(super) fn whole_model(path: &Path, error: &str) -> Option<Foreign> {
    let help = "save the state dict instead: `torch.save(model.state_dict(), 'weights.pth')`";
    if is_torch_script(path) {
        let reason = "it is a TorchScript archive, not a state dict".to_owned();
        return Some(Foreign { reason, help: help.into() });
    }
    let class = error.split_once("unsupported Python type '")?.1.split('\'').next()?;
    Some(Foreign {
        reason: format!(
            "it holds a Python object of the class `{class}`, such as a whole pickled model, where a \
             state dict is needed"
        ),
        help: help.into(),
    })
}

fn is_torch_script(path: &Path) -> bool {
    let Some(zip) = File::open(path).ok().and_then(|file| ZipArchive::new(file).ok()) else {
        return false;
    };
    zip.file_names().flatten().any(|name| name.ends_with("/constants.pkl"))
}
