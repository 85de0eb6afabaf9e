//! Files as `torch.save` writes them: a zip with a pickle that names the tensors, and an entry for
//! each tensor's values.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{Exported, WeightsError};

/// Where PyTorch expects values to start.
const ALIGNMENT: u16 = 64;

impl Exported {
    /// The bytes of a state dict as `torch.save` writes it: names and tensors.
    pub fn to_state_dict(&self) -> Result<Vec<u8>, WeightsError> {
        let mut pickle = Pickle::new();
        pickle.state_dict(self);
        self.zip(&pickle.finish())
    }

    /// The bytes of a checkpoint of the reference code: `{'epoch': epoch, 'state': state dict}`.
    pub fn to_reference_checkpoint(&self, epoch: usize) -> Result<Vec<u8>, WeightsError> {
        let mut pickle = Pickle::new();
        pickle.op(b"}(");
        pickle.text("epoch");
        pickle.integer(epoch);
        pickle.text("state");
        pickle.state_dict(self);
        pickle.op(b"u");
        self.zip(&pickle.finish())
    }

    fn zip(&self, pickle: &[u8]) -> Result<Vec<u8>, WeightsError> {
        self.try_zip(pickle).map_err(|error| WeightsError::Names {
            reason: format!("the model cannot be written for PyTorch: {error}"),
            help: "this is a bug in fsct; please report it".into(),
        })
    }

    fn try_zip(&self, pickle: &[u8]) -> zip::result::ZipResult<Vec<u8>> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .with_alignment(ALIGNMENT);
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let mut entry = |name: &str, bytes: &[u8]| -> zip::result::ZipResult<()> {
            zip.start_file(format!("archive/{name}"), options)?;
            Ok(zip.write_all(bytes)?)
        };
        entry("data.pkl", pickle)?;
        entry("byteorder", b"little")?;
        for (number, (_, values)) in self.tensors.iter().enumerate() {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            entry(&format!("data/{number}"), &bytes)?;
        }
        entry("version", b"3\n")?;
        Ok(zip.finish()?.into_inner())
    }
}

/// A pickle of protocol 2, which every version of `torch.load` reads, with `weights_only` as well.
struct Pickle(Vec<u8>);

impl Pickle {
    fn new() -> Self {
        Self(b"\x80\x02".to_vec())
    }

    fn finish(mut self) -> Vec<u8> {
        self.op(b".");
        self.0
    }

    fn op(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.op(b"X");
        // A tensor's name is far below 4 GiB.
        self.op(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.op(text.as_bytes());
    }

    fn integer(&mut self, value: usize) {
        match (u8::try_from(value), i32::try_from(value)) {
            (Ok(byte), _) => self.op(&[b'K', byte]),
            (_, Ok(word)) => {
                self.op(b"J");
                self.op(&word.to_le_bytes());
            }
            _ => {
                // Nine bytes, as the highest bit is the sign's.
                self.op(b"\x8a\x09");
                self.op(&(value as u64).to_le_bytes());
                self.op(b"\0");
            }
        }
    }

    fn integers(&mut self, values: &[usize]) {
        self.op(b"(");
        values.iter().for_each(|value| self.integer(*value));
        self.op(b"t");
    }

    fn ordered_dict(&mut self) {
        self.op(b"ccollections\nOrderedDict\n)R");
    }

    fn state_dict(&mut self, exported: &Exported) {
        self.ordered_dict();
        self.op(b"(");
        for (name, number) in &exported.names {
            self.text(name);
            self.tensor(*number, &exported.tensors[*number].0);
        }
        self.op(b"u");
    }

    /// `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks)`.
    fn tensor(&mut self, number: usize, shape: &[usize]) {
        self.op(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        self.text("storage");
        self.op(b"ctorch\nFloatStorage\n");
        self.text(&number.to_string());
        self.text("cpu");
        self.integer(shape.iter().product());
        self.op(b"tQ");
        self.integer(0);
        self.integers(shape);
        self.integers(&strides(shape));
        self.op(b"\x89");
        self.ordered_dict();
        self.op(b"tR");
    }
}

/// Distance between neighbours along each side of a row-major tensor.
fn strides(shape: &[usize]) -> Vec<usize> {
    (0..shape.len()).map(|side| shape[side + 1..].iter().product()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_are_row_major() {
        assert_eq!(strides(&[2, 3, 4]), [12, 4, 1]);
        assert_eq!(strides(&[]), [0; 0]);
    }

    #[test]
    fn integers_of_every_size_are_pickled() {
        let bytes = |value| {
            let mut pickle = Pickle(Vec::new());
            pickle.integer(value);
            pickle.0
        };
        assert_eq!(bytes(255), b"K\xff");
        assert_eq!(bytes(256), b"J\x00\x01\x00\x00");
        assert_eq!(bytes(1 << 31), b"\x8a\x09\x00\x00\x00\x80\x00\x00\x00\x00\x00");
    }
}
